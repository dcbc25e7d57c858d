"""The machine that is examined and readied: every path and fact the doctor depends on, in one place.

Nothing else in this room names a system path, so a test (or a second, private Docker daemon) is a
`Machine` with other values.
"""

from __future__ import annotations

import getpass
import ipaddress
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from engine.runtimes import find_docker

BASE_IMAGE = "debian:bookworm-slim"
TOOLS_IMAGE = "moat-base:bookworm"

_DEFAULT_HOST = "unix:///var/run/docker.sock"
_ADMIN_DIRS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not on an ordinary user's PATH in Debian


class Machine(msgspec.Struct, frozen=True):
    """docker_host is an address as in DOCKER_HOST, named by docker_source (DOCKER_HOST, or a context; "" for
    nobody); docker_problem is why Moat cannot use it, "" mostly. uid 0 means that commands run as root
    without sudo.

    dockerd_args: arguments for a daemon started here, for a daemon elsewhere than the standard place.
    own_daemon: the engine at docker_host is this machine's standard one (or one that dockerd_args
    describe), so it may be installed, configured and started.
    """

    docker_host: str = _DEFAULT_HOST
    docker_source: str = ""
    docker_problem: str = ""
    docker_remedy: str = ""
    daemon_json: Path = Path("/etc/docker/daemon.json")
    dockerd_log: Path = Path("/var/log/dockerd.log")
    dockerd_pid: Path = Path("/var/run/docker.pid")
    dockerd_args: tuple[str, ...] = ()
    systemd_marker: Path = Path("/run/systemd/system")
    os_release: Path = Path("/etc/os-release")
    apt_sources: Path = Path("/etc/apt/sources.list.d")
    apt_lists: Path = Path("/var/lib/apt/lists")
    path: str = os.defpath
    system: str = "Linux"
    uid: int = 0
    user: str = "root"
    base_image: str = BASE_IMAGE
    tools_image: str = TOOLS_IMAGE

    @classmethod
    def here(cls, environ: Mapping[str, str] = os.environ) -> Machine:
        """This machine, with the Docker engine that a run would use."""
        path = environ.get("PATH", os.defpath)
        endpoint = find_docker(environ)
        return cls(
            docker_host=endpoint.address,
            docker_source=endpoint.source,
            docker_problem=endpoint.problem,
            docker_remedy=endpoint.remedy,
            path=os.pathsep.join([path, *(d for d in _ADMIN_DIRS if d not in path.split(os.pathsep))]),
            system=platform.system(),
            uid=os.geteuid(),
            user=_user_name(),
        )

    @property
    def socket(self) -> Path | None:
        """The engine's unix socket; None when it is reached another way."""
        scheme, _, rest = self.docker_host.partition("://")
        return Path(rest) if scheme == "unix" else None

    @property
    def tcp(self) -> tuple[str, int] | None:
        """Host and port of an engine that is reached over this machine's loopback; None otherwise."""
        parts = urlsplit(self.docker_host)
        try:
            host, port = parts.hostname or "", parts.port
            loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return None
        return (host, port or 2375) if loopback and parts.scheme in ("tcp", "http") else None

    @property
    def docker(self) -> str:
        """The engine for a message: its address, and who named it."""
        return f"{self.docker_host} ({self.docker_source})" if self.docker_source else self.docker_host

    @property
    def own_daemon(self) -> bool:
        standard = (_DEFAULT_HOST, "unix:///run/docker.sock")
        return self.system == "Linux" and (bool(self.dockerd_args) or self.docker_host in standard)

    @property
    def has_systemd(self) -> bool:
        return self.systemd_marker.is_dir()

    @property
    def can_install(self) -> bool:
        """Packages can be installed: apt is here, and so is a way to be root."""
        return self.which("apt-get") is not None and self.can_be_root

    @property
    def can_be_root(self) -> bool:
        return self.uid == 0 or self.which("sudo") is not None

    @property
    def os_info(self) -> dict[str, str]:
        """os-release's fields, e.g. ID=debian, VERSION_CODENAME=bookworm; empty when there is no such file.

        Source: os-release(5).
        """
        try:
            lines = self.os_release.read_text(encoding="utf-8").splitlines()
        except OSError:
            return {}
        pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
        return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}

    def which(self, command: str) -> str | None:
        return shutil.which(command, path=self.path)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return str(os.geteuid())
