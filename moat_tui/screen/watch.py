"""Verifying audit chains in the background, again whenever they have grown: the selected run's first, then
those of the other live runs, so that a chain that breaks raises an alarm whatever is being looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from textual.message import Message

from moat_tui.screen.engine_face import EngineFace, Stamp
from moat_tui.screen.models.chain_states import ChainState

if TYPE_CHECKING:
    from engine import AnchorState, Entry, Verdict

LOOK_EVERY = 0.25
REST = 2.0  # seconds between two verifications of a growing chain, or ten times what the last one took
PROGRESS_EVERY = 0.1
INSTALLATION_EVERY = 10.0
ENTRIES_FIRST = 500  # newest entries shown at first
ENTRIES_MORE = 2_000
EMPTY: Stamp = (None, None)


@dataclass
class ChainVerified(Message):
    run_id: str
    verdict: Verdict
    entries: list[Entry]
    sealed_at: str = ""  # the time of the last entry that a checkpoint covers

    def state(self, now: datetime) -> ChainState:
        return ChainState(now, self.verdict, sealed_at=self.sealed_at)


@dataclass
class ChainProgress(Message):
    run_id: str
    done: int
    total: int


@dataclass
class ChainAbsent(Message):
    run_id: str


@dataclass
class ChainFailed(Message):
    run_id: str
    error: Exception


@dataclass
class InstallationLooked(Message):
    """missing: ids of the runs that are gone although nobody destroyed them; None when it is not known.

    anchors: None when they could not be read; problem says why.
    """

    missing: tuple[str, ...] | None
    anchors: list[AnchorState] | None
    problem: str = ""


class ChainWatch:
    """`run` is the thread's body; the other methods may be called from any thread."""

    def __init__(self, face: EngineFace, deliver: Callable[[Message], object]) -> None:
        self._face = face
        self._deliver = deliver
        self._wake = threading.Event()
        self._stopped = False
        self._selected = ""
        self._again = False
        self._live: tuple[str, ...] = ()
        self._stamps: dict[str, Stamp] = {}  # of the live runs that are not selected
        self._look_due = 0.0

    def watch_also(self, run_ids: tuple[str, ...]) -> None:
        """The live runs: those that are not selected are verified when there is nothing else to do."""
        self._live = run_ids

    def select(self, run_id: str) -> None:
        """Verify this run's chain; one that is being verified for another run is given up."""
        self._selected = run_id
        self._wake.set()

    def verify_again(self) -> None:
        self._again = True
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    def run(self) -> None:
        run_id, stamp, seen = "", None, 0
        rest_until = 0.0
        while not self._stopped:
            if self._selected != run_id:
                run_id, stamp, seen, rest_until = self._selected, None, 0, 0.0
            if self._again:
                self._again, stamp, rest_until = False, None, 0.0
            if time.monotonic() >= rest_until:
                began = time.monotonic()
                worked = failed = False
                if run_id:
                    found: Stamp = EMPTY
                    try:
                        found = self._face.audit_stamp(run_id)
                        if found != stamp:
                            worked = True
                            seen = (
                                self._verify(run_id, seen) if found[0] is not None else self._absent(run_id)
                            )
                    except Exception as error:  # whatever is wrong with the file is what is to be shown
                        worked = failed = True
                        self._deliver(ChainFailed(run_id, error))
                    # A stamp taken before the check: what is written meanwhile is looked at next time. What
                    # kept it from being read may go away without any change of the file.
                    stamp = None if failed else found
                if worked or self._verify_another(run_id):
                    rest_until = time.monotonic() + max(REST, 10 * (time.monotonic() - began))
            if time.monotonic() >= self._look_due and not self._stopped:
                self._look_at_installation()
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()

    def _look_at_installation(self) -> None:
        """Whether a run was taken away, and what was anchored."""
        began = time.monotonic()
        missing, anchors, problem = None, None, ""
        try:
            missing = tuple(run.run for run in self._face.missing_runs().runs)
            anchors = self._face.anchors()
        except Exception as error:  # the chains are verified all the same
            problem = str(error) or type(error).__name__
        self._deliver(InstallationLooked(missing, anchors, problem))
        self._look_due = time.monotonic() + max(INSTALLATION_EVERY, 10 * (time.monotonic() - began))

    def _verify_another(self, selected: str) -> bool:
        """Verify one live run that is not selected and has changed; False when there is none."""
        live = self._live
        for run_id in [run_id for run_id in self._stamps if run_id not in live]:
            del self._stamps[run_id]
        for run_id in live:
            if run_id == selected or self._stopped:
                continue
            found: Stamp = EMPTY
            try:
                found = self._face.audit_stamp(run_id)
                if found[0] is None or found == self._stamps.get(run_id):
                    continue
                verdict = self._face.verify(run_id, lambda done, total: None, self._is_given_up(selected))
                if verdict.cancelled:
                    return False
                self._deliver(ChainVerified(run_id, verdict, []))
            except Exception as error:
                self._deliver(ChainFailed(run_id, error))
            # To the end of the line: a busy run must not keep the others from their turn.
            self._stamps[run_id] = found
            self._live = (*(other for other in self._live if other != run_id), run_id)
            return True
        return False

    def _sealed_at(self, run_id: str, verdict: Verdict, entries: list[Entry]) -> str:
        if not verdict.sealed_to:
            return ""
        if not entries or not entries[0].seq <= verdict.sealed_to <= entries[-1].seq:
            entries = self._face.entries(run_id, verdict.sealed_to - 1, 1)
        return next((entry.ts for entry in entries if entry.seq == verdict.sealed_to), "")

    def _is_given_up(self, run_id: str) -> Callable[[], bool]:
        return lambda: self._stopped or self._selected != run_id

    def _absent(self, run_id: str) -> int:
        self._deliver(ChainAbsent(run_id))
        return 0

    def _verify(self, run_id: str, seen: int) -> int:
        """Verify and read the entries after `seen`; returns the last entry's number."""
        told = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told >= PROGRESS_EVERY:
                told = time.monotonic()
                self._deliver(ChainProgress(run_id, done, total))

        given_up = self._is_given_up(run_id)
        verdict = self._face.verify(run_id, progress, given_up)
        if given_up() or verdict.cancelled:
            return seen
        entries: list[Entry] = []
        try:
            after = seen or max(0, verdict.entry_count - ENTRIES_FIRST)
            entries = self._face.entries(run_id, after, ENTRIES_MORE)
        except Exception:
            # A log that cannot be read has a verdict that says so; without one this is the news.
            if verdict.valid:
                raise
        self._deliver(ChainVerified(run_id, verdict, entries, self._sealed_at(run_id, verdict, entries)))
        return entries[-1].seq if entries else seen
