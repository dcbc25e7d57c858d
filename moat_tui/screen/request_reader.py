"""The thread that follows the requests: the selected run's, or those of all runs.

A batch that the screen has not taken yet stops further reading: the files are the queue, nothing piles up
and nothing is lost. Going from one list to the other loses neither: each goes on where it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual.message import Message

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.filter_language import Predicate
from moat_tui.screen.models.request_file import Source
from moat_tui.screen.models.request_order import Order
from moat_tui.screen.reader import LOOK_EVERY, ReadFailed
from moat_tui.screen.request_search import RequestSearch
from moat_tui.screen.requests_read import Ask

if TYPE_CHECKING:
    from engine import OpenView, RunInfo


class RequestReader:
    """`run` is the thread's body; the other methods may be called from any thread."""

    def __init__(
        self, face: EngineFace, deliver: Callable[[Message], object], now: Callable[[], datetime]
    ) -> None:
        self._face = face
        self._deliver = deliver
        self.now = now
        self._asked = threading.Event()  # something else is wanted: look now
        self._free = threading.Event()  # the last batch has been taken
        self._free.set()
        self._stopped = False
        self._selected = ("", 0)  # and how often one was selected: the same run again begins anew
        self._runs: tuple[Source, ...] = ()
        self._all = False
        self._ask = Ask()
        self._paused = False

    def select(self, run_id: str) -> None:
        """Follow this run's requests from now on; the first batch has `reset` set."""
        self._selected = (run_id, self._selected[1] + 1)
        self._asked.set()

    def know_runs(self, runs: Sequence[RunInfo]) -> None:
        """All runs there are, in any order."""
        self._runs = tuple(
            Source(run.id, run.name, self._face.request_file(run.id), not run.state.ended) for run in runs
        )

    def show_all(self, every: bool) -> None:
        """Follow the requests of all runs, or the selected run's again; both go on where they were."""
        self._all = every
        self._asked.set()

    def ask(self, wanted: Predicate | None, order: Order | None) -> int:
        """Look for these from now on; returns the version that the answers will carry."""
        self._ask = Ask(self._ask.version + 1, wanted, order)
        self._asked.set()
        return self._ask.version

    def pause(self, paused: bool) -> None:
        """Leave what is added to the file unread until told otherwise."""
        self._paused = paused
        self._asked.set()

    def stop(self) -> None:
        self._stopped = True
        self._asked.set()
        self._free.set()

    # What is asked of the engine about open requests

    def open_mark(self, run_id: str) -> object:
        return self._face.open_mark(run_id)

    def open_requests(self, run_id: str) -> OpenView:
        return self._face.open_requests(run_id)

    # The thread

    def run(self) -> None:
        followed, failed = ("", -1), ""
        one: RequestSearch | None = None
        every: RequestSearch | None = None
        while not self._stopped:
            self._asked.clear()
            more = False
            try:
                if self._selected != followed:
                    followed = self._selected
                    one = self._search_one(followed[0])
                if self._all:
                    runs = self._runs
                    if every is None:
                        every = RequestSearch("", runs, self._free.set, self)
                    every.keep_up(runs)
                search = every if self._all else one
                if search is not None and self._free.is_set():
                    found = search.look(self._ask, paused=self._paused)
                    if found is not None:
                        self._free.clear()
                        self._deliver(found)
                        more = found.reset or not found.done
                if failed:
                    failed = ""
                    self._deliver(ReadFailed("requests", None))
            except Exception as error:  # a viewer must outlive whatever is wrong with a file
                followed, every = ("", -1), None
                if failed != str(error):
                    failed = str(error)
                    self._deliver(ReadFailed("requests", error))
            # What is added is looked for ten times a second; older lines as fast as they are taken.
            (self._free if more else self._asked).wait(LOOK_EVERY)

    def _search_one(self, run_id: str) -> RequestSearch | None:
        if not run_id:
            return None
        known = next((source for source in self._runs if source.run_id == run_id), None)
        source = known or Source(run_id, run_id, self._face.request_file(run_id))
        return RequestSearch(run_id, [source], self._free.set, self)
