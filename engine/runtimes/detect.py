"""Which runtime a run uses (seeds/container-runtimes.md, "Runtime detection").

Who asks, in order: `--runtime`, `MOAT_RUNTIME`, `runtime:` of the configuration; otherwise the
platform's own. A runtime that somebody asked for and that is not available is an error, never a
fallback: they chose it for its isolation.
"""

from __future__ import annotations

import difflib
import platform
import sys

import msgspec

from engine.errors import RuntimeUnavailable, UsageError

KNOWN = ("docker", "bubblewrap", "apple")


class HostFacts(msgspec.Struct, frozen=True):
    """The machine Moat runs on: sys.platform, uname -m, and the major version of macOS, 0 elsewhere."""

    system: str
    machine: str
    macos: int = 0

    @classmethod
    def read(cls) -> HostFacts:
        release = platform.mac_ver()[0].partition(".")[0]
        return cls(sys.platform, platform.machine().lower(), int(release) if release.isdigit() else 0)

    @property
    def apple_capable(self) -> bool:
        return self.system == "darwin" and self.machine == "arm64" and self.macos >= 26


def choose_runtime(flag: str, environment: str, config: str, host: HostFacts | None = None) -> str:
    """The runtime's name. `environment` is the value of MOAT_RUNTIME; `host` is this machine unless given.

    Raises UsageError for a name nobody knows and RuntimeUnavailable for one that cannot be used here.
    Detection never picks Apple containers while Moat cannot drive them: it moves on to Docker, which is
    what the seed asks for when they are unavailable. Nor does it ever pick bubblewrap: its isolation is less
    than a container's under gVisor, so it is a person's choice.
    """
    asked, who = _asked(flag, environment, config)
    if not asked:
        return "docker"
    if asked not in KNOWN:
        raise UsageError(f"{who}: there is no runtime {asked!r}", remedy=_nearest(asked))
    if asked == "bubblewrap" and not (host or HostFacts.read()).system.startswith("linux"):
        raise RuntimeUnavailable(
            f"{who} asks for the runtime 'bubblewrap', which needs Linux",
            remedy="Use the runtime 'docker' on this machine.",
        )
    if asked == "apple":
        where = (
            "Moat does not drive Apple containers yet."
            if (host or HostFacts.read()).apple_capable
            else "They need macOS 26 or newer on Apple Silicon, and Moat does not drive them yet."
        )
        raise RuntimeUnavailable(
            f"{who} asks for the runtime 'apple', which is not supported yet",
            detail=where,
            remedy="Use the runtime 'docker', or leave the choice to Moat.",
        )
    return asked


def _asked(flag: str, environment: str, config: str) -> tuple[str, str]:
    for value, who in ((flag, "--runtime"), (environment, "MOAT_RUNTIME"), (config, "runtime")):
        if value.strip():
            return value.strip().lower(), who
    return "", ""


def _nearest(asked: str) -> str:
    near = difflib.get_close_matches(asked, KNOWN, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"Known runtimes: {', '.join(KNOWN)}.{guess}"
