"""What Apple's `container` says when it fails, in words a person can act on.

It ends with 1 and `Error: CODE: "MESSAGE" (cause: "…")` on stderr (ContainerizationError), with 64 for words
that it does not know (ArgumentParser). An unknown text is passed on as the detail of a plain error.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from engine.errors import ContainerFailed, ImageUnavailable, RuntimeFailure, RuntimeUnavailable

USAGE = 64  # EX_USAGE
START = "Start it: container system start."
INSTALL = "Install it from github.com/apple/container/releases, then: container system start."


def explain(doing: str, exit_code: int, message: str, *, image: str = "") -> RuntimeFailure:
    """The error for a command that failed. doing: to be read after "could not"."""
    reason = _reason(message) or f"it ended with {exit_code}"
    if _GONE.search(reason):
        return not_running(reason)
    if exit_code == USAGE:
        return RuntimeUnavailable(
            f"this release of Apple's `container` cannot {doing}",
            detail=reason,
            remedy="Update it: github.com/apple/container/releases.",
        )
    if image and _NO_IMAGE.search(reason):
        return ImageUnavailable(
            f"the image {image} is not here and could not be pulled",
            detail=reason,
            remedy="Check the name, that the registry can be reached and that you may read it"
            f" (`container image pull {image}`).",
        )
    for known in _KNOWN:
        if found := re.search(known.pattern, reason, re.IGNORECASE):
            it = next((group for group in found.groups() if group), "")
            return ContainerFailed(known.what.format(it=it), detail=reason, remedy=known.remedy)
    return ContainerFailed(
        f"Apple's `container` could not {doing}", detail=reason, remedy="See `container system logs`."
    )


def not_running(reason: str) -> RuntimeUnavailable:
    return RuntimeUnavailable("the services of Apple's `container` do not run", detail=reason, remedy=START)


def is_missing(message: str) -> bool:
    """Whether it failed because there is no such container or network (any more)."""
    return _MISSING.search(message) is not None


def _reason(message: str) -> str:
    """Without what a debug build says first, and without the program's own "Error: "."""
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if line and not line.startswith("Warning! Running debug build")]
    return " ".join(kept).removeprefix("Error: ")


class _Known(NamedTuple):
    pattern: str
    what: str  # {it}: the pattern's group
    remedy: str


_GONE = re.compile(r"XPC connection error|Connection (?:invalid|interrupted)|container system start", re.I)
_MISSING = re.compile(r"notFound|not found|no such container|no network for id", re.I)
_NO_IMAGE = re.compile(
    r"HTTP request to|manifests/|unauthorized|notFound|not found|querying keychain|resolve host|unsupported:",
    re.I,
)
_CLEAN = "Run `moat clean`, which removes what dead runs left."
_KNOWN = (
    _Known(r"container with id (\S+) already exists", "a container named {it} exists already", _CLEAN),
    _Known(r"network (\S+) already exists", "a network named {it} exists already", _CLEAN),
    _Known(
        r"default kernel not configured|failed to read user input",
        "Apple's `container` has no Linux kernel yet",
        "Install it: container system kernel set --recommended.",
    ),
    _Known(
        r"path '([^']+)' (?:does not exist|is not a directory)",
        "{it} cannot be mounted in an Apple container",
        "Mount a directory that exists: older releases of `container` take no single file.",
    ),
    _Known(r"no space left on device", "the disk is full", "Free some space (`container system df`)."),
    _Known(
        r"failed to find target executable (\S+?)[\"\\]*(?:\)|$)",
        "{it} does not exist in the image",
        "Moat's own start needs /bin/sh: use an image that has it.",
    ),
)
