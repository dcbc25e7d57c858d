"""Which runtime a run uses.

Who asks, in order: `--runtime`, `MOAT_RUNTIME`, `runtime:` of the configuration; otherwise DETECTION, read
from its top. A runtime that somebody asked for and that is not available is an error, never a fallback:
they chose it for its isolation. Detection never picks bubblewrap: its isolation is less than a container's
under gVisor, so it is a person's choice.
"""

from __future__ import annotations

import difflib
import os
import platform
import sys
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from engine.errors import RuntimeUnavailable, UsageError
from engine.runtimes.apple.errors import INSTALL, START

KNOWN = ("docker", "bubblewrap", "apple")


class HostFacts(msgspec.Struct, frozen=True):
    """The machine Moat runs on: sys.platform, uname -m, and the major version of macOS, 0 elsewhere.

    apple_lacks: "" when Apple containers are ready, "stopped" when their services do not run, "absent".
    """

    system: str
    machine: str
    macos: int = 0
    apple_lacks: str = "absent"

    @classmethod
    def read(cls) -> HostFacts:
        """Asks Apple's `container` for its status, where there can be one."""
        release = platform.mac_ver()[0].partition(".")[0]
        facts = cls(sys.platform, platform.machine().lower(), int(release) if release.isdigit() else 0)
        if not facts.apple_capable:
            return facts
        from engine.runtimes.apple.tool import why_not

        return msgspec.structs.replace(facts, apple_lacks=why_not(os.environ))

    @property
    def linux(self) -> bool:
        return self.system.startswith("linux")

    @property
    def apple_capable(self) -> bool:
        return self.system == "darwin" and self.machine == "arm64" and self.macos >= 26

    @property
    def apple_ready(self) -> bool:
        return self.apple_capable and not self.apple_lacks


class Row(NamedTuple):
    where: Callable[[HostFacts], bool]
    runtime: str


# On macOS 26+ with Apple Silicon, Apple containers if they are available; everywhere else, Docker.
DETECTION = (
    Row(lambda host: host.apple_ready, "apple"),
    Row(lambda host: True, "docker"),
)


def choose_runtime(flag: str, environment: str, config: str, host: HostFacts | None = None) -> str:
    """The runtime's name. `environment` is the value of MOAT_RUNTIME; `host` is this machine unless given.

    Raises UsageError for a name nobody knows and RuntimeUnavailable for one that cannot be used here. Whether
    Docker's engine is there is said when it is opened.
    """
    asked, who = _asked(flag, environment, config)
    if asked and asked not in KNOWN:
        raise UsageError(f"{who}: there is no runtime {asked!r}", remedy=_nearest(asked))
    if asked == "docker":
        return asked
    host = host or HostFacts.read()
    if not asked:
        return next(row.runtime for row in DETECTION if row.where(host))
    if asked == "bubblewrap" and not host.linux:
        raise RuntimeUnavailable(
            f"{who} asks for the runtime 'bubblewrap', which needs Linux",
            remedy="Use the runtime 'docker' on this machine.",
        )
    if asked == "apple" and not host.apple_ready:
        raise _no_apple(who, host)
    return asked


def _no_apple(who: str, host: HostFacts) -> RuntimeUnavailable:
    what = f"{who} asks for the runtime 'apple', which is not available here"
    if not host.apple_capable:
        return RuntimeUnavailable(
            what,
            detail="Apple containers need macOS 26 or newer on Apple Silicon.",
            remedy="Use the runtime 'docker' on this machine.",
        )
    if host.apple_lacks == "stopped":
        return RuntimeUnavailable(
            what, detail="The services of Apple's `container` do not run.", remedy=START
        )
    return RuntimeUnavailable(what, detail="Apple's `container` is not installed.", remedy=INSTALL)


def _asked(flag: str, environment: str, config: str) -> tuple[str, str]:
    for value, who in ((flag, "--runtime"), (environment, "MOAT_RUNTIME"), (config, "runtime")):
        if value.strip():
            return value.strip().lower(), who
    return "", ""


def _nearest(asked: str) -> str:
    near = difflib.get_close_matches(asked, KNOWN, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"Known runtimes: {', '.join(KNOWN)}.{guess}"
