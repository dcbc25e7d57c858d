"""What the Docker daemon says, in words a person can act on.

The daemon has few status codes and many texts; the texts below were read from Docker 20.10 and 28,
runc 1.1 and gVisor 2023-2025. An unknown text is passed on as the detail of a plain error.
"""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

from engine.errors import ContainerFailed, ImageUnavailable, RuntimeFailure, RuntimeUnavailable
from engine.runtimes.sandbox import gvisor_cannot_start, gvisor_missing

BASE_IMAGE = "debian:bookworm-slim"
WITHOUT_IT = " Or do without it: --runtime bubblewrap." if sys.platform.startswith("linux") else ""
START_DAEMON = (
    f"Run `moat doctor --fix`: it installs Docker where it is missing and starts its daemon.{WITHOUT_IT}"
)

# What runc and gVisor pile up in front of the reason itself.
_PREFIXES = re.compile(
    r"(?:failed to create (?:shim )?task(?: for container)?|OCI runtime (?:create|start) failed"
    r"|(?:runc|runsc) (?:create|start) failed|unable to start container process"
    r"|(?:starting|creating) container|starting root container|(?:starting|cannot create) sandbox): "
)


def explain(doing: str, status: int, message: str, *, image: str = "") -> RuntimeFailure:
    """The error for a refusal of the daemon.

    doing: what was asked, to be read after "could not", e.g. "create the container".
    status: HTTP status; 0 for an error inside a stream; 900 when the connection broke (aiodocker's code).
    """
    reason = _PREFIXES.sub("", " ".join(message.split())).removesuffix(": unknown")
    if status == 900:
        return RuntimeUnavailable("Docker stopped answering", detail=reason, remedy=START_DAEMON)
    if _NO_NETWORK_IN_ROOT.search(reason):
        return gvisor_cannot_start(reason)
    if _NO_RUNSC.search(reason):
        return gvisor_missing(reason)
    if "no such image" in reason.lower():
        return image_missing(image, reason)
    for known in _KNOWN:
        if failure := known.build(doing, reason):
            return failure
    return ContainerFailed(f"Docker could not {doing}", detail=reason, remedy="Run `moat doctor`.")


def image_missing(image: str, reason: str) -> ImageUnavailable:
    remedy = (
        "Run `moat doctor --fix`, which pulls it or builds it from the system's package mirror."
        if image == BASE_IMAGE
        else "Check the name, that the registry can be reached and that you may read it"
        f" (`docker pull {image}`)."
    )
    return ImageUnavailable(
        f"the image {image} is not here and could not be pulled", detail=reason, remedy=remedy
    )


class _Known(NamedTuple):
    """A text of the daemon. `what` and `remedy` may hold {doing} and the pattern's first group as {it}."""

    pattern: str
    what: str
    remedy: str

    def build(self, doing: str, reason: str) -> RuntimeFailure | None:
        found = re.search(self.pattern, reason, re.IGNORECASE)
        if found is None:
            return None
        words = {"doing": doing, "it": next((group for group in found.groups() if group), "")}
        return ContainerFailed(self.what.format(**words), detail=reason, remedy=self.remedy.format(**words))


_NO_NETWORK_IN_ROOT = re.compile("cannot run with network enabled in root network namespace", re.I)
_NO_RUNSC = re.compile(
    r"unknown (?:or invalid )?runtime .*\brunsc\b|\brunsc\b.*(?:no such file|not found in)", re.I
)

_SPELLING = "Check its spelling, or use an image that has it."
_EXECUTABLE = "Make the file executable (`chmod +x`)."
_CLEAN = "Run `moat clean`, which removes what dead runs left."

_KNOWN = (
    _Known(
        r'exec: "([^"]+)": (?:executable file not found|stat .*no such file)',
        "the command {it} does not exist in the image",
        _SPELLING,
    ),
    _Known(r'error finding executable "([^"]+)"', "the command {it} does not exist in the image", _SPELLING),
    _Known(r'exec: "([^"]+)": permission denied', "{it} cannot be executed in the container", _EXECUTABLE),
    _Known(
        r"failed to load (\S+): permission denied", "{it} cannot be executed in the container", _EXECUTABLE
    ),
    _Known(
        r"unable to find user ([^:\s]+): no matching entries",
        "the image has no user {it}",
        "Use an image that has it.",
    ),
    _Known(
        r"no command specified",
        "there is nothing to run: the image has no command of its own",
        "Give a command after --, as in: moat run -- CMD ARG…, or set `command:` in agent.yaml.",
    ),
    _Known(
        r"exec format error",
        "the image or the command is for another processor",
        "Use an image for this machine's architecture.",
    ),
    _Known(
        r'bind source path does not exist: (.+)|error mounting "([^"]+)".*no such file',
        "the directory to mount does not exist for Docker: {it}",
        "Create it, or correct the mount; Docker Desktop sees only the directories it shares.",
    ),
    _Known(
        r"invalid mount|duplicate mount point: (\S+)",
        "Docker does not accept one of the mounts",
        "Correct the mounts in agent.yaml or -m/--mount.",
    ),
    _Known(r'container name "/?([^"]+)" is already in use', "a container named {it} exists already", _CLEAN),
    _Known(r"network with name (\S+) already exists", "a network named {it} exists already", _CLEAN),
    _Known(
        r"non-overlapping IPv4 address pool|predefined address pools have been fully subnetted",
        "Docker has no address range left for another network",
        "Run `moat clean` to remove the networks of dead runs, or `docker network prune` for all unused.",
    ),
    _Known(
        r"no space left on device|disk quota exceeded",
        "the disk that holds Docker's data is full: could not {doing}",
        "Free some space (`docker system df` shows what takes it).",
    ),
    _Known(
        r"minimum memory limit allowed is (\S+)",
        "container.memory is too small: Docker wants at least {it}",
        "Raise container.memory in agent.yaml.",
    ),
    _Known(
        r"range of cpus is from [\d.]+ to ([\d.]+)",
        "container.cpus is out of range: this machine has {it}",
        "Lower container.cpus in agent.yaml.",
    ),
    _Known(
        r"cannot allocate memory|OOM-killed",
        "not enough memory: could not {doing}",
        "Raise container.memory, or free some memory.",
    ),
    _Known(
        r"cannot mkdir: (\S+) is not a directory|chdir to cwd \(\"?([^\")]+)",
        "the working directory {it} cannot be used in this image",
        "Use an image in which it can be a directory.",
    ),
    _Known(
        r"container-init binary not found",
        "Podman lacks the small init that a container's first process needs",
        "Install it (Debian: apt-get install catatonit).",
    ),
    _Known(
        r"no such network|network \S+ not found",
        "the run's network is gone: could not {doing}",
        "Start the run again; something removed its network meanwhile.",
    ),
    _Known(
        r"no such container",
        "the container is gone: could not {doing}",
        "Something outside Moat removed it; start the run again.",
    ),
)
