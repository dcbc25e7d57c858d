"""How strongly a container is isolated: the sandbox modes of Docker's.

On Linux gVisor is required unless a person turned it off. Docker Desktop cannot offer gVisor, so there
the mode is always standard and `--no-sandbox` changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from engine.errors import SandboxUnavailable
from engine.runtimes.spec import Platform, Sandbox

GVISOR_RUNTIME = "runsc"
# gVisor once more, registered with --overlay2=none: what a container writes is in its own layer, where the
# engine finds it. By default it is in a file that only the sandbox can read, and no image can be made of it.
KEPT_GVISOR_RUNTIME = "runsc-kept"

# https://gvisor.dev/docs/user_guide/install/, "Install from an apt repository"
INSTALL = (
    "curl -fsSL https://gvisor.dev/archive.key"
    " | sudo gpg --dearmor -o /usr/share/keyrings/gvisor-archive-keyring.gpg"
    ' && echo "deb [arch=$(dpkg --print-architecture)'
    " signed-by=/usr/share/keyrings/gvisor-archive-keyring.gpg]"
    ' https://storage.googleapis.com/gvisor/releases release main"'
    " | sudo tee /etc/apt/sources.list.d/gvisor.list > /dev/null"
    " && sudo apt-get update && sudo apt-get install -y runsc"
    " && sudo runsc install && sudo systemctl restart docker"
)


def choose_sandbox(requested: bool | None, platform: Platform, runtimes: Collection[str]) -> Sandbox:
    """`requested`: False is --no-sandbox or `sandbox: false`; None and True are the platform's default.

    runtimes: the OCI runtimes the engine knows (EngineInfo.runtimes). Raises SandboxUnavailable, which
    holds the install instructions, when gVisor is required and not among them.
    """
    if platform == "desktop" or requested is False:
        return "standard"
    if GVISOR_RUNTIME in runtimes:
        return "gvisor"
    raise gvisor_missing()


def gvisor_missing(detail: str = "") -> SandboxUnavailable:
    known = detail or "Docker knows no runtime named runsc"
    return SandboxUnavailable(
        f"gVisor is required on Linux and is not installed: {known}",
        detail=f"Install it (Debian, Ubuntu): {INSTALL}",
        remedy="Run `moat doctor --fix`, which does that for you, or pass --no-sandbox to run with runc's"
        " weaker isolation.",
    )


def gvisor_not_with_podman() -> SandboxUnavailable:
    """Podman 4.3 takes a wish for another runtime by Docker's API, and starts its own without a word."""
    return SandboxUnavailable(
        "gVisor is required on Linux and cannot be had with Podman",
        detail="Its Docker-compatible API starts every container with Podman's own runtime.",
        remedy="Use Docker (unset DOCKER_HOST), or pass --no-sandbox for that runtime's weaker isolation.",
    )


def gvisor_cannot_start(detail: str) -> SandboxUnavailable:
    """gVisor is there and this kernel or its configuration keeps it from starting a container."""
    return SandboxUnavailable(
        "gVisor could not start the container",
        detail=detail,
        remedy="Run `moat doctor --fix`: where the kernel needs it, it adds --network=host to the arguments"
        " of runsc in /etc/docker/daemon.json. --no-sandbox does without gVisor.",
    )
