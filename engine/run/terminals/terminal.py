"""Where the agent's bytes go and come from when a run is attached to this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _nowhere(data: bytes) -> None:
    """A detached run's output is read from its files."""


@dataclass(frozen=True, slots=True)
class AgentIO:
    """stdout, stderr: take the agent's bytes exactly as they came, and may block to slow the agent down.

    stdin: a descriptor to read for an interactive run, or None.
    terminal: the descriptor of the terminal to put in raw mode and take sizes from, or None.
    """

    stdout: Callable[[bytes], None] = _nowhere
    stderr: Callable[[bytes], None] = _nowhere
    stdin: int | None = None
    terminal: int | None = None
