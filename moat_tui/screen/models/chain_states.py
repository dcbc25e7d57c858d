"""What is known about the audit chain of every run: the last verification's result, and when it was."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from moat_tui.screen.models.moments import count
from moat_tui.screen.models.pieces import Piece
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import RunInfo, Verdict


class ChainState(NamedTuple):
    """at: of the verification. verdict: None when there was nothing to judge; problem: why it failed."""

    at: datetime
    verdict: Verdict | None = None
    problem: str = ""
    sealed_at: str = ""  # the time of the last entry that a checkpoint covers

    @property
    def broken(self) -> bool:
        return bool(self.problem) or (self.verdict is not None and not self.verdict.valid)


class ChainStates:
    """version: changes whenever something here does. watched: the run whose chain is verified anyway."""

    def __init__(self) -> None:
        self.watched = ""
        self._missing: frozenset[str] | None = None
        self._gone: frozenset[str] = frozenset()
        self._progress: dict[str, tuple[int, int]] = {}
        self._states: dict[str, ChainState] = {}
        self.version = 0

    def get(self, run_id: str) -> ChainState | None:
        return self._states.get(run_id)

    def note(self, run_id: str, state: ChainState) -> bool:
        """Whether this is the news that the chain is broken."""
        old = self._states.get(run_id)
        self._progress.pop(run_id, None)
        self._states[run_id] = state
        self.version += 1
        return state.broken and (old is None or not old.broken)

    def under_way(self, run_id: str, done: int, total: int) -> None:
        """Its chain is being verified in the background."""
        self._progress[run_id] = (done, total)
        self.version += 1

    def progress(self, run_id: str) -> tuple[int, int] | None:
        return self._progress.get(run_id)

    def keep(self, run_ids: Iterable[str]) -> None:
        """Forget the runs that are gone."""
        there = set(run_ids)
        for run_id in [run_id for run_id in self._states if run_id not in there]:
            del self._states[run_id]
            self.version += 1

    def note_missing(self, run_ids: Iterable[str]) -> tuple[str, ...]:
        """Those that have gone missing since the first look: news for everybody, until they are back."""
        missing = frozenset(run_ids)
        if self._missing is None:
            self._missing = missing
        before, self._gone = self._gone, missing - self._missing
        return tuple(sorted(self._gone - before))

    def alarm(self, runs: Iterable[RunInfo]) -> str:
        """The words for the head of the screen when the chain of a live run does not hold, or a run was
        taken away while somebody looks; else empty.
        """
        return "   ".join(filter(None, (self._broken_alarm(runs), self._gone_alarm())))

    def _gone_alarm(self) -> str:
        more = f" and {len(self._gone) - 1} more" if len(self._gone) > 1 else ""
        return f"✗ RUN MISSING: {visible(min(self._gone))}{more}" if self._gone else ""

    def _broken_alarm(self, runs: Iterable[RunInfo]) -> str:
        names = [visible(run.name) for run in runs if not run.state.ended and self._is_broken(run.id)]
        if not names:
            return ""
        return f"✗ AUDIT CHAIN BROKEN: {names[0]}" + (f" and {len(names) - 1} more" if names[1:] else "")

    def _is_broken(self, run_id: str) -> bool:
        state = self._states.get(run_id)
        return state is not None and state.broken


def state_pieces(run: RunInfo, state: ChainState | None) -> tuple[Piece, Piece, Piece]:
    """State, entries and time of the last verification, each short enough for a column."""
    if state is None:
        return ("· not verified", "dim"), ("", ""), ("", "dim")
    when = (state.at.astimezone().strftime("%H:%M:%S"), "dim")
    if state.problem:
        return ("✗ unreadable", "bad"), ("", ""), when
    if state.verdict is None:
        return ("- no log", "dim"), ("", ""), when
    entries = (count(state.verdict.entry_count), "")
    if not state.verdict.valid:
        return (f"✗ {state.verdict.verdict}", "bad"), entries, when
    if state.verdict.doubt:
        return ("? UNANCHORED", "warn"), entries, when
    if state.verdict.closed or not run.state.ended:
        return ("✓ INTACT", "ok"), entries, when
    return ("✓ not closed", "warn"), entries, when
