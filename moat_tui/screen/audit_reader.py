"""The thread that leafs through one run's audit log while the audit screen is open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from moat_tui.screen.engine_face import EngineFace, Stamp
from moat_tui.screen.models.audit_pages import PAGE

if TYPE_CHECKING:
    from engine import AuditCounts, AuditPages, Entry

LOOK_EVERY = 0.2
REST_FACTOR = 5  # a log that takes long to count is counted less often
PAGES_ASKED = 6  # the newest wishes; who scrolls through a million lines wants only the last ones


@dataclass(frozen=True)
class Wanted:
    """What the screen shows; messages carry it, so that late ones are known for what they are."""

    run_id: str
    kind: str = ""  # the one type shown, "" for all

    @property
    def types(self) -> tuple[str, ...]:
        return (self.kind,) if self.kind else ()


@dataclass
class LogIndexed(Message):
    """What was added to the log. reset: this is all of it. after: the seq the index begins after."""

    wanted: Wanted
    reset: bool
    counts: AuditCounts
    pages: AuditPages
    after: int


@dataclass
class NewestRead(Message):
    """The log's last entries, before anything else is known of it: counting a long one takes a second."""

    wanted: Wanted
    entries: list[Entry]


@dataclass
class PageRead(Message):
    wanted: Wanted
    number: int
    entries: list[Entry]


@dataclass
class PlaceFound(Message):
    """`place` entries come before the entry `seq`. purpose: as it was asked."""

    wanted: Wanted
    seq: int
    place: int
    purpose: str


@dataclass
class LogProblem(Message):
    """error: None when the log can be read again."""

    wanted: Wanted
    error: Exception | None


class AuditReader:
    """`run` is the thread's body; the other methods may be called from any thread."""

    def __init__(self, face: EngineFace, deliver: Callable[[Message], object]) -> None:
        self._face = face
        self._deliver = deliver
        self._wake = threading.Event()
        self._stopped = False
        self._lock = threading.Lock()
        self._wanted = Wanted("")
        self._pages: dict[int, int] = {}
        self._places: dict[str, int] = {}

    def show(self, wanted: Wanted) -> None:
        """Read this from now on; its index comes with `reset` set."""
        with self._lock:
            self._wanted = wanted
            self._pages.clear()
            self._places.clear()
        self._wake.set()

    def want_page(self, number: int, start: int) -> None:
        """start: the seq the page begins with."""
        with self._lock:
            self._pages.pop(number, None)
            self._pages[number] = start
            while len(self._pages) > PAGES_ASKED:
                del self._pages[next(iter(self._pages))]
        self._wake.set()

    def want_place(self, seq: int, purpose: str) -> None:
        with self._lock:
            self._places[purpose] = seq
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    def run(self) -> None:
        shown, stamp, problem = Wanted(""), None, ""
        last = after = 0
        due = 0.0
        while not self._stopped:
            wanted = self._wanted
            if wanted != shown:
                shown, stamp, last, after, due = wanted, None, 0, 0, 0.0
            try:
                if shown.run_id and time.monotonic() >= due:
                    found = self._face.audit_stamp(shown.run_id)
                    if found != stamp or problem:
                        began = time.monotonic()
                        if stamp is None or problem or _replaced(stamp, found):
                            last = after = 0
                            reset = True
                        else:
                            reset = False
                        last, after = self._index(shown, last, after, reset=reset)
                        due = time.monotonic() + max(LOOK_EVERY, REST_FACTOR * (time.monotonic() - began))
                        stamp = found
                    if problem:
                        problem = ""
                        self._deliver(LogProblem(shown, None))
                if stamp is not None and not problem:
                    self._serve(shown)
            except Exception as error:  # a viewer must outlive whatever is wrong with a file
                due = time.monotonic() + 1.0
                stamp = None
                if problem != str(error):
                    problem = str(error) or type(error).__name__
                    self._deliver(LogProblem(shown, error))
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()

    def _index(self, wanted: Wanted, last: int, after: int, *, reset: bool) -> tuple[int, int]:
        if reset:
            self._deliver(NewestRead(wanted, self._face.audit_newest(wanted.run_id, wanted.types, PAGE)))
        counts = self._face.audit_counts(wanted.run_id, last)
        pages = self._face.audit_pages(wanted.run_id, wanted.types, after, PAGE)
        self._deliver(LogIndexed(wanted, reset, counts, pages, after))
        return max(last, counts.last), pages.starts[-1] - 1 if pages.starts else after

    def _serve(self, wanted: Wanted) -> None:
        """Read what was asked for, the newest wish first."""
        while self._wanted == wanted and not self._stopped:
            with self._lock:
                places, self._places = self._places, {}
                page = self._pages.popitem() if self._pages else None
            for purpose, seq in places.items():
                place = self._face.audit_place(wanted.run_id, seq, wanted.types)
                self._deliver(PlaceFound(wanted, seq, place, purpose))
            if page is None:
                return
            entries = self._face.audit_page(wanted.run_id, wanted.types, page[1] - 1, PAGE)
            self._deliver(PageRead(wanted, page[0], entries))


def _replaced(old: Stamp, new: Stamp) -> bool:
    """Whether the log is another file than before, or shorter: then nothing that was read holds."""
    was, now = old[0], new[0]
    if not isinstance(was, tuple) or not isinstance(now, tuple):
        return True
    return bool(was[0] != now[0] or now[1] < was[1])
