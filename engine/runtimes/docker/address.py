"""Which Docker engine: DOCKER_HOST, else the context of Docker's own command line, else this machine's.

The order is Docker's (docker/cli, resolveContextName): DOCKER_HOST wins over DOCKER_CONTEXT, which wins over
`currentContext` of its config.json. A context is `contexts/meta/SHA256(name)/meta.json` beside that file.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

DEFAULT_SOCKET = "/var/run/docker.sock"
_DEFAULT_CONTEXT = "default"  # of Docker's: the engine of this machine
_PODMAN = "/run/podman/podman.sock"


class Endpoint(msgspec.Struct, frozen=True):
    """address: "unix:///path" or "tcp://host:port", or what was found there. source: who named it, to be read
    after "the Docker engine at …"; "" for nobody. problem: why Moat cannot use it, and remedy; "" mostly.
    """

    address: str
    source: str = ""
    problem: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.address} ({self.source})" if self.source else self.address


def find_endpoint(environ: Mapping[str, str]) -> Endpoint:
    """Reads the files of Docker's command line; asks no engine."""
    if named := environ.get("DOCKER_HOST", "").strip():
        tls = "DOCKER_TLS_VERIFY" if environ.get("DOCKER_TLS_VERIFY") else ""
        return _judged(named, "DOCKER_HOST", "Unset DOCKER_HOST, or point it at a local socket", tls)
    directory = _docker_config(environ)
    context = environ.get("DOCKER_CONTEXT", "").strip()
    who = "DOCKER_CONTEXT"
    if not context:
        context = str(_read(directory / "config.json").get("currentContext") or "")
        who = str(directory / "config.json")
    if context and context != _DEFAULT_CONTEXT:
        return _of_context(directory, context, who)
    return Endpoint(_usual(environ))


def podman_hint(socket: Path = Path(_PODMAN)) -> str:
    """What to do where there is no Docker and Podman listens; "" where it does not."""
    return f" Or use Podman: DOCKER_HOST=unix://{socket}." if socket.exists() else ""


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _of_context(directory: Path, name: str, who: str) -> Endpoint:
    source = f"the Docker context {name!r} of {who}"
    remedy = "Choose another context (docker context use default), or set DOCKER_HOST to a local socket"
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = _read(directory / "contexts" / "meta" / digest / "meta.json")
    endpoint = (meta.get("Endpoints") or {}).get("docker")
    if not isinstance(endpoint, dict):
        lack = "it names no Docker endpoint" if meta else "there is no such context"
        return Endpoint("", source, f"{lack} below {directory / 'contexts'}", _example(remedy))
    tls = directory / "contexts" / "tls" / digest / "docker"
    address = str(endpoint.get("Host") or "") or f"unix://{DEFAULT_SOCKET}"
    return _judged(address, source, remedy, str(tls) if tls.is_dir() else "")


def _judged(address: str, source: str, remedy: str, tls: str) -> Endpoint:
    """tls: what says that the engine wants certificates."""
    if problem := _problem(address, tls):
        return Endpoint(address, source, problem, _example(remedy))
    return Endpoint(address, source)


def _example(remedy: str) -> str:
    return f"{remedy}, such as unix://{DEFAULT_SOCKET}."


def _problem(address: str, tls: str) -> str:
    """Moat and the engine must share a machine: agents reach the proxy over the engine's own network, and the
    workspace is mounted by its path.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "it is no address"
    match parts.scheme:
        case "unix":
            return "" if parts.path else "it names no socket"
        case "ssh":
            return "an engine behind SSH is on another machine, and it must be on this machine"
        case "npipe":
            return "Moat does not use Windows' named pipes"
        case "tcp" | "http" if not is_loopback(host):
            return "the engine must be on this machine: agents reach the proxy over its own network"
        case "tcp" | "http" if tls:
            return f"Moat speaks no TLS to an engine on this machine, and {tls} asks for it"
        case "tcp" | "http":
            return ""
        case "https":
            return "Moat speaks no TLS to an engine, which must be on this machine"
    return "it is neither a unix socket nor a TCP port on this machine"


def _usual(environ: Mapping[str, str]) -> str:
    """The first default socket that exists: the system's, a rootless engine's, Docker Desktop's."""
    places = [DEFAULT_SOCKET]
    if environ.get("XDG_RUNTIME_DIR"):
        places.append(f"{environ['XDG_RUNTIME_DIR']}/docker.sock")
    if environ.get("HOME"):
        places.append(f"{environ['HOME']}/.docker/run/docker.sock")
    return "unix://" + next((place for place in places if Path(place).is_socket()), places[0])


def _docker_config(environ: Mapping[str, str]) -> Path:
    named = environ.get("DOCKER_CONFIG", "").strip()
    return Path(named) if named else Path(environ.get("HOME") or os.path.expanduser("~")) / ".docker"


def _read(path: Path) -> dict[str, Any]:
    """Empty when there is none, or when it is no JSON object."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return {}
