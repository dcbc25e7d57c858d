"""Finding a sandbox's processes among this machine's: inside they have other numbers."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

_AGENT = 2  # its number inside: the first that the sandbox's first process starts


def agent_of(first: int) -> int | None:
    """The agent of the sandbox whose first process that is; None when it has not begun or has ended."""
    for process in _processes():
        with contextlib.suppress(OSError):
            fields = _status(process)
            if fields.get("PPid") == str(first) and fields.get("NSpid", "").split()[-1:] == [str(_AGENT)]:
                return process
    return None


def marked(mark: bytes) -> list[int]:
    """Those that have NAME=VALUE in the environment they began with."""
    found = []
    for process in _processes():
        with contextlib.suppress(OSError), open(f"/proc/{process}/environ", "rb") as file:
            if mark in file.read().split(b"\0"):
                found.append(process)
    return found


def end_marked(mark: bytes) -> None:
    """Kill those that began with NAME=VALUE in their environment; with a first process all others go."""
    for process in marked(mark):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)


def _processes() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _status(process: int) -> dict[str, str]:
    with open(f"/proc/{process}/status", encoding="ascii", errors="replace") as file:
        pairs = (line.partition(":") for line in file)
        return {name: value.strip() for name, _, value in pairs}
