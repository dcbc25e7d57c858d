"""All runs there ever were, held against the installation's log: what is missing, put back or not its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from engine.errors import MoatError
from engine.events import RunInfo
from engine.home import Home
from engine.run.reading.library import AUDIT_DB, list_runs, verify_run

if TYPE_CHECKING:
    from engine.audit import Verdict
    from engine.heads import History, RecordedRun

TRUNCATED, TAMPERED = "TRUNCATED", "TAMPERED"


class RunAudit(msgspec.Struct, frozen=True):
    """One run's verdict. why: what it rests on when it is not well. name, state: "" for a missing one.

    entries: in its log, or as many as the installation's log knows of when the run is missing.
    """

    run: str
    verdict: str
    well: bool
    name: str = ""
    state: str = ""
    entries: int = 0
    why: str = ""


class InstallationAudit(msgspec.Struct, frozen=True):
    """origin: `moat/ID`, "" before the first run. events, signed: of the installation's log, and how many
    of them a signed head covers. keys: how often its key was replaced. destroyed: runs that were removed
    with `moat destroy`. fault: why the installation's log does not hold.
    """

    runs: tuple[RunAudit, ...]
    origin: str = ""
    events: int = 0
    signed: int = 0
    keys: int = 0
    destroyed: int = 0
    fault: str = ""

    @property
    def well(self) -> bool:
        return not self.fault and all(run.well for run in self.runs)


def audit_installation(
    home: Home, progress: Callable[[int, int], None] = lambda done, total: None
) -> InstallationAudit:
    """Verify the log of every run and name those that are missing. Blocking.

    progress: told how many runs were verified, of how many.
    """
    there = list_runs(home)
    runs = []
    for done, info in enumerate(there):
        progress(done, len(there))
        try:
            found = _told(verify_run(home, info.id), info.id, info.name, str(info.state))
        except MoatError as error:
            found = RunAudit(info.id, TAMPERED, False, info.name, str(info.state), why=str(error))
        # One without a directory was destroyed meanwhile, or is missing.
        if home.run(info.id).is_dir() and not _never_began(home, info):
            runs.append(found)
    # Read last: a run that began meanwhile is in it, and one that was destroyed meanwhile is said to be.
    return _installation(home, runs)


def missing_runs(home: Home) -> InstallationAudit:
    """The same without a look at the logs that are there: its runs are the missing ones. Blocking."""
    return _installation(home, ())


def _installation(home: Home, runs: Sequence[RunAudit]) -> InstallationAudit:
    from engine.heads import read_history

    history = read_history(home)
    if history is None:
        return InstallationAudit(tuple(runs))
    return InstallationAudit(
        (*runs, *_missing(home, history)),
        origin=history.origin,
        events=history.size,
        signed=history.signed,
        keys=len(history.certificates),
        destroyed=sum(bool(run.destroyed_at) for run in history.runs.values()),
        fault=history.fault,
    )


def _never_began(home: Home, run: RunInfo) -> bool:
    """Whether the run failed before it had a log: its start could not be recorded, on a full disk for one.

    Whoever takes a log away cannot have it look so, for the installation's log knows of every run's start.
    """
    from engine.heads import read_history

    if not run.state.ended or os.path.lexists(home.run(run.id) / AUDIT_DB):
        return False
    history = read_history(home)
    if history is None or history.fault or run.id in history.runs:
        return False
    try:
        return datetime.fromisoformat(run.created_at) >= datetime.fromisoformat(history.began)
    except (ValueError, TypeError):
        return False


class Fault(NamedTuple):
    """verdict: one of the words of a verdict; both are "" when nothing is wrong."""

    verdict: str
    why: str


def recorded_fault(home: Home, run_id: str, history: History) -> Fault:
    """How what is in runs/ contradicts the installation's log.

    Whether the log's entries are those that were recorded is the verifier's business.
    """
    recorded = history.runs.get(run_id)
    if recorded is None or not recorded.start:
        if history.fault or _is_older(home.run(run_id) / AUDIT_DB, history):
            return Fault("", "")
        return Fault(TAMPERED, "the installation's log knows nothing of this run: it is from elsewhere")
    if recorded.fault:
        return Fault(TAMPERED, f"the installation's log contradicts itself: {recorded.fault}")
    if recorded.destroyed_at:
        return Fault(TAMPERED, f"it was destroyed at {recorded.destroyed_at} and put back from a copy")
    return Fault("", "")


def _missing(home: Home, history: History) -> list[RunAudit]:
    gone = _without_directory(home, history)
    if gone:  # one that was destroyed between the two looks is said to be, at the second
        from engine.heads import read_history

        again = read_history(home)
        gone = _without_directory(home, again) if again is not None else gone
    return [RunAudit(run.run, TRUNCATED, False, entries=run.size, why=_gone(run)) for run in gone]


def _without_directory(home: Home, history: History) -> list[RecordedRun]:
    try:
        there = set(os.listdir(home.runs))
    except FileNotFoundError:
        there = set()
    runs = history.runs.values()
    return [run for run in runs if run.start and not run.destroyed_at and run.run not in there]


def _gone(run: RecordedRun) -> str:
    held = f", when its log held {run.size} entries" if run.size else ""
    state = "closed" if run.closed else "recorded last"
    return f"its directory was removed, and not by moat destroy; it began at {run.started_at}{held} ({state})"


def _is_older(path: Path, history: History) -> bool:
    """Whether the log at `path` was begun before the installation had a log of its own."""
    from engine.audit.read import read_birth

    try:
        birth = read_birth(path)
    except MoatError:
        return True  # it has no log that could be judged, and is told so elsewhere
    if birth.tree:
        return False
    try:
        return datetime.fromisoformat(birth.ts) < datetime.fromisoformat(history.began)
    except ValueError:  # no entry yet, or one that no verifier accepts
        return True


def _told(verdict: Verdict, run_id: str, name: str, state: str) -> RunAudit:
    why = verdict.error or verdict.doubt
    return RunAudit(run_id, verdict.verdict, verdict.exit_code == 0, name, state, verdict.entry_count, why)
