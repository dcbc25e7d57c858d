"""The sidecars of docker:dind, described: a Docker daemon, and BuildKit. Pure.

The agent's own container gains nothing: what has the rights that a daemon needs is beside it, and reaches no
more of the network than the agent does. What it fetches goes through the run's proxy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from engine.run.beside.sidecar import SidecarSpec
from engine.run.environment import CA_BUNDLE
from engine.runtimes import Bind, ContainerSpec, Network, PlacedFile, Sandbox

if TYPE_CHECKING:
    from engine.run.docker.keys import DockerKeys

DOCKER, BUILDKIT = "docker", "buildkit"  # host names
BUILDKIT_HOST = f"tcp://{BUILDKIT}:1234"
CLIENT_CONFIG = ".docker/config.json"

_SOCKET = "unix:///var/run/docker.sock"
_PORT = 2376  # Docker's, with TLS
_KEYS = "/moat/docker"
_SCRIPT = "/moat/inner_daemon.sh"
_PIDS = 16384  # of all containers inside
_NO_PROXY = f"localhost,127.0.0.1,::1,{DOCKER},{BUILDKIT}"

# In gVisor there are no bridges and no rules for packets: containers share the daemon's own network.
_GVISOR_OPTIONS = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")

# Whether the daemon's own BuildKit works is seen by using it, on nothing.
BUILDKIT_PROBE = (
    "sh", "-c",
    "made=$(printf 'FROM scratch\\nLABEL moat=probe\\n'"
    f" | DOCKER_BUILDKIT=1 docker -H {_SOCKET} build -q -) && docker -H {_SOCKET} rmi -f \"$made\"",
)  # fmt: skip


class DockerSurroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What both have of the run. proxy_url: with the proxy's address, which leads there from inside too.

    trust: files, so that what they fetch through the proxy verifies. resolver: where names lead to the proxy.
    """

    run_id: str
    home_label: str
    network: Network
    sandbox: Sandbox
    proxy_url: str
    trust: tuple[PlacedFile, ...]
    extra_hosts: Mapping[str, str] = {}
    resolver: tuple[Bind, ...] = ()
    dns: tuple[str, ...] = ()
    memory_mb: int | None = None
    cpus: float | None = None


def dockerd_sidecar(around: DockerSurroundings, image: str, keys: DockerKeys, workspace: Bind) -> SidecarSpec:
    """workspace: as the agent has it, so that it can be mounted into containers by the same path."""
    if around.sandbox == "gvisor":
        # Root in there is root to the file system here too, and what it left could be anybody's to run.
        workspace = msgspec.structs.replace(workspace, read_only=True)
    command = (
        "dockerd",
        f"--host={_SOCKET}",
        f"--host=tcp://0.0.0.0:{_PORT}",
        "--tlsverify",
        f"--tlscacert={_KEYS}/ca.pem",
        f"--tlscert={_KEYS}/cert.pem",
        f"--tlskey={_KEYS}/key.pem",
        *(_GVISOR_OPTIONS if around.sandbox == "gvisor" else ()),
        *(f"--dns={address}" for address in around.dns),
    )
    files = (
        PlacedFile(f"{_KEYS}/ca.pem", keys.authority),
        PlacedFile(f"{_KEYS}/cert.pem", keys.server_certificate),
        PlacedFile(f"{_KEYS}/key.pem", keys.server_key, mode=0o600),
    )
    return SidecarSpec(
        name=DOCKER,
        title="the Docker daemon of docker:dind",
        ready=("docker", "-H", _SOCKET, "version"),
        wait=False,
        proxied=True,
        container=_container(
            around, DOCKER, image, command, "/var/lib/docker", files, (workspace,), {"DOCKER_TLS_CERTDIR": ""}
        ),
    )


def buildkit_sidecar(around: DockerSurroundings, image: str) -> SidecarSpec:
    command = ("buildkitd", "--addr=unix:///run/buildkit/buildkitd.sock", "--addr=tcp://0.0.0.0:1234")
    return SidecarSpec(
        name=BUILDKIT,
        title="the BuildKit sidecar",
        ready=("buildctl", "--addr", "tcp://127.0.0.1:1234", "debug", "workers"),
        wait=False,
        proxied=True,
        container=_container(around, BUILDKIT, image, command, "/var/lib/buildkit"),
    )


def agent_environment(*, port: int = _PORT, sidecar: bool = False, daemon: bool = True) -> dict[str, str]:
    """port: of the Docker that the agent uses. sidecar: BuildKit is beside the run. daemon: that Docker's own
    BuildKit works.
    """
    env = {
        "DOCKER_HOST": f"tcp://{DOCKER}:{port}",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": _KEYS,
    }
    if sidecar:
        env["BUILDKIT_HOST"] = BUILDKIT_HOST
    if not daemon:
        env["DOCKER_BUILDKIT"] = "0"
    return env


def builders(why_no_sidecar: str, *, daemon: bool) -> str:
    """Which of them build, in words: the sidecar, then the daemon's BuildKit, then the legacy builder.

    why_no_sidecar: "" where there is one.
    """
    own = "the Docker daemon's own BuildKit" if daemon else "Docker's legacy builder"
    if not why_no_sidecar:
        return f"images are built by the BuildKit sidecar at {BUILDKIT_HOST}, and by {own} for `docker build`"
    return f"images are built by {own}: no BuildKit sidecar ({why_no_sidecar.rstrip('.')})"


def agent_files(keys: DockerKeys) -> tuple[PlacedFile, ...]:
    """The agent's own key to its own daemon; its user, whichever that is, reads it."""
    return (
        PlacedFile(f"{_KEYS}/ca.pem", keys.authority),
        PlacedFile(f"{_KEYS}/cert.pem", keys.client_certificate),
        PlacedFile(f"{_KEYS}/key.pem", keys.client_key),
    )


def client_config(proxy_url: str) -> PlacedFile:
    """By it Docker's client gives containers and builds the proxy's variables; in the agent's home."""
    proxies = {"httpProxy": proxy_url, "httpsProxy": proxy_url, "noProxy": _NO_PROXY}
    text = json.dumps({"proxies": {"default": proxies}}, indent=2) + "\n"
    return PlacedFile(CLIENT_CONFIG, text.encode(), mode=0o600)


def _container(
    around: DockerSurroundings,
    name: str,
    image: str,
    command: tuple[str, ...],
    layers: str,
    files: tuple[PlacedFile, ...] = (),
    binds: tuple[Bind, ...] = (),
    env: Mapping[str, str] = {},
) -> ContainerSpec:
    script = resources.files("engine.run").joinpath("in_container", "inner_daemon.sh").read_bytes()
    proxied = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), around.proxy_url)
    return ContainerSpec(
        run_id=around.run_id,
        home_label=around.home_label,
        name=f"moat-{around.run_id}-{name}",
        image=image,
        network=around.network,
        command=("sh", _SCRIPT, *command),
        entrypoint=False,
        env={**proxied, "NO_PROXY": _NO_PROXY, "no_proxy": _NO_PROXY, "SSL_CERT_FILE": CA_BUNDLE, **env},
        workdir="/",
        binds=(*binds, *around.resolver),
        files=(*around.trust, PlacedFile(_SCRIPT, script), *files),
        user="0:0",
        sandbox=around.sandbox,
        inner_daemon=layers,
        extra_hosts=around.extra_hosts,
        dns=around.dns,
        memory_mb=around.memory_mb,
        cpus=around.cpus,
        pids_limit=_PIDS,
    )
