"""The thread that looks at the files so that the screen does not have to.

One look costs a handful of `stat` calls; a file is opened only when its stamp has changed. What was
found is handed over as messages. A batch of lines that the screen has not taken yet stops further
reading of that file: the file is the queue, so nothing piles up and nothing is lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from moat_tui.screen.engine_face import EngineFace, Stamp, Tail
from moat_tui.screen.file_mark import file_mark
from moat_tui.screen.models.line_counts import LineCounts

if TYPE_CHECKING:
    from engine import Approval, GrantInfo, GrantUse, LogLine, RunInfo

LOOK_EVERY = 0.1  # seconds between looks at a file that is followed
RUNS_EVERY = 0.25  # seconds between looks at the list of runs: DataTable takes at most four updates a second
APPROVALS_EVERY = 0.2
GRANTS_EVERY = 1.0
USES_EVERY = 5.0  # "last used" of a busy run changes all the time, and reading it reads every run
GRANTS_AT_LEAST = 60.0  # a grant expires without any file changing
RECENT = 500  # requests of a live run whose times are read for its graph
FIRST_READ = 5_000  # lines shown of a file that is already long


@dataclass
class RunsRead(Message):
    """recent: for each live run seen for the first time, when its latest requests were made."""

    runs: list[RunInfo]
    requests: dict[str, int]
    recent: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class ApprovalsRead(Message):
    """What waits for an answer, by run; runs in which nothing waits are left out."""

    waiting: dict[str, list[Approval]]


@dataclass
class OutputRead(Message):
    reset: bool
    lines: list[LogLine]
    taken: Callable[[], None]


@dataclass
class GrantsRead(Message):
    """uses: run id -> grant -> how often the run has used it."""

    grants: list[GrantInfo]
    uses: Mapping[str, Mapping[str, GrantUse]] = field(default_factory=dict)


@dataclass
class ReadFailed(Message):
    """what: which read, e.g. "runs"; a later success of the same read sends an empty `error`."""

    what: str
    error: Exception | None


class FileFollower[Line]:
    """One growing file: everything it has at first (its end, when it is long), then what is added."""

    def __init__(self, path: Path, tail: Tail[Line], first: int = FIRST_READ) -> None:
        self._path = path
        self._tail = tail
        self._first = first
        self._mark: Stamp | None = None
        self._started = False
        self._busy = threading.Event()  # set while a batch waits to be taken

    def taken(self) -> None:
        self._busy.clear()

    def look(self) -> tuple[bool, list[Line]] | None:
        """(reset, lines) when there is something to hand over, and then only again after `taken`."""
        if self._busy.is_set():
            return None
        mark = file_mark(self._path)
        if self._started and mark == self._mark:
            return None
        reset = not self._started
        lines = self._tail.last(self._first) if reset else self._tail.read(self._first)
        self._started = True
        # A full batch may have left lines behind: look again although the file did not change.
        self._mark = None if not reset and len(lines) >= self._first else mark
        if not lines and not reset:
            return None
        self._busy.set()
        return reset, lines


class Reader:
    """`run` is the thread's body; `select` and `stop` may be called from any thread."""

    def __init__(self, face: EngineFace, deliver: Callable[[Message], object]) -> None:
        self._face = face
        self._deliver = deliver
        self._wake = threading.Event()
        self._stopped = False
        self._counts = LineCounts()
        self._met: set[str] = set()
        self._runs: list[RunInfo] | None = None
        self._runs_stamp: Stamp | None = None
        self._grants_stamp: Stamp | None = None
        self._approvals_stamp: Stamp = ()
        self._due: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._grants_read_at = 0.0

    def refresh(self) -> None:
        """Look at everything at once, e.g. after an action of the screen itself."""
        self._grants_stamp = None
        self._due.clear()
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    def run(self) -> None:
        while not self._stopped:
            self._guarded("runs", RUNS_EVERY, self._look_at_runs)
            self._guarded("approvals", APPROVALS_EVERY, self._look_at_approvals)
            self._guarded("grants", GRANTS_EVERY, self._look_at_grants)
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()

    def _guarded(self, what: str, every: float, look: Callable[[], None]) -> None:
        """Look when it is due; a failure is reported once, and looked past after a second."""
        now = time.monotonic()
        if now < self._due.get(what, 0.0) or self._stopped:
            return
        self._due[what] = now + every
        try:
            look()
        except Exception as error:  # a viewer must outlive whatever is wrong with a file
            self._due[what] = now + 1.0
            if self._failed.get(what) != str(error):
                self._failed[what] = str(error)
                self._deliver(ReadFailed(what, error))
        else:
            if self._failed.pop(what, None) is not None:
                self._deliver(ReadFailed(what, None))

    def _look_at_runs(self) -> None:
        stamp = self._face.runs_stamp()
        changed = self._runs is None or stamp != self._runs_stamp
        if changed:
            self._runs = self._face.runs()
            self._runs_stamp = stamp
        runs = self._runs or []
        counted = self._counts.update({run.id: self._face.request_file(run.id) for run in runs})
        if changed or counted:
            self._deliver(RunsRead(runs, self._counts.counts(), self._recent(runs)))

    def _recent(self, runs: list[RunInfo]) -> dict[str, list[str]]:
        new = [run.id for run in runs if run.id not in self._met and not run.state.ended]
        self._met = {run.id for run in runs}
        return {
            run_id: [record.ts for record in self._face.request_tail(run_id).last(RECENT)] for run_id in new
        }

    def _look_at_approvals(self) -> None:
        asking = [run.id for run in self._runs or () if run.policy == "ask" and not run.state.ended]
        stamp = tuple((run_id, self._face.approvals_stamp(run_id)) for run_id in asking)
        if stamp == self._approvals_stamp:
            return
        found = {run_id: waiting for run_id in asking if (waiting := self._face.approvals(run_id))}
        self._deliver(ApprovalsRead(found))
        self._approvals_stamp = stamp

    def _look_at_grants(self) -> None:
        stamp = self._face.grants_stamp()
        now = time.monotonic()
        old, since = self._grants_stamp, now - self._grants_read_at
        rest = GRANTS_AT_LEAST if stamp == old else USES_EVERY
        if old is not None and stamp[0] == old[0] and since < rest:
            return
        self._deliver(GrantsRead(self._face.grants(), self._face.uses()))
        self._grants_stamp = stamp
        self._grants_read_at = now
