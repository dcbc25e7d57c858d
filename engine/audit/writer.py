"""The thread that owns audit.db while a run lives, because a commit blocks and the loop must not.

Its inbox is unbounded here and bounded by the places that AuditLog hands out. It answers each batch once.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.audit.canonical import Entry
from engine.audit.gate import reason_of
from engine.audit.run_keys import RunKeys
from engine.audit.store import Store
from engine.audit.teller import Teller
from engine.errors import AuditError
from engine.home import Home

MAX_BATCH = 4096  # entries in one transaction


@dataclass(frozen=True, slots=True)
class Write:
    """An entry to be made durable. answer: told the Entry, or None when nobody waits."""

    when: datetime
    kind: str
    data: dict[str, Any]
    data_json: str
    answer: asyncio.Future[Entry | None] | None


@dataclass(frozen=True, slots=True)
class Barrier:
    """Answered when everything before it is durable."""

    answer: asyncio.Future[Entry | None]


@dataclass(frozen=True, slots=True)
class Stop:
    """The last item: sign the end of a log that has keys, close, end. reason: one of checkpoint.REASONS."""

    reason: str = ""
    when: datetime | None = None


type Opened = asyncio.Future[tuple[int, str] | BaseException]


class Writer(threading.Thread):
    """post: runs a call on the loop. settle: told each batch's items, entries and reason of failure ("").
    stopped: told at the end what could not be written ("" when nothing).
    """

    def __init__(
        self,
        home: Home,
        path: Path,
        *,
        post: Callable[[Callable[[], None]], None],
        opened: Opened,
        keys: RunKeys | None,
        teller: Teller,
        clock: Callable[[], datetime],
        settle: Callable[[list[Write | Barrier], list[Entry], str], None],
        stopped: Callable[[str], None],
    ) -> None:
        # A daemon: an interpreter that ends without closing the log must not hang on it; all that was
        # answered is durable.
        super().__init__(name=f"audit {path.parent.name}", daemon=True)
        self.inbox: queue.SimpleQueue[Write | Barrier | Stop] = queue.SimpleQueue()
        self._home = home
        self._path = path
        self._post_to_loop = post
        self._opened = opened
        self._keys = keys
        self._teller = teller
        self._clock = clock
        self._settle = settle
        self._stopped = stopped
        self._reason = ""

    def run(self) -> None:
        try:
            keys, self._keys = self._keys, None
            store = Store.open(self._home, self._path, keys)
        except Exception as error:
            opening_failed = error  # the name `error` ends with this block
            self._post(lambda: self._tell_opened(opening_failed))
            return
        start = (store.seq, store.last_hash)
        self._post(lambda: self._tell_opened(start))
        try:
            self._serve(store)
        finally:
            store.close()
            self._post(lambda: self._stopped(self._reason))

    def _serve(self, store: Store) -> None:
        while True:
            items, stop = self._next_batch(self._patience(store))
            if items:
                self._write(store, items)
            if stop is not None:
                if stop.when is not None:
                    self._finish(store, stop.reason, stop.when)
                return
            if not items:
                self._seal(store)
            self._teller.offer(store.newest)

    def _patience(self, store: Store) -> float | None:
        """Seconds until there is something to do that nobody asks for; None for never."""
        due = [self._teller.due_in(), None if self._reason else store.due_in()]
        return min((seconds for seconds in due if seconds is not None), default=None)

    def _next_batch(self, patience: float | None) -> tuple[list[Write | Barrier], Stop | None]:
        """Wait for one item, then take all that wait behind it. Nothing at all when none comes in time."""
        items: list[Write | Barrier] = []
        with contextlib.suppress(queue.Empty):
            item = self.inbox.get(timeout=patience)
            while not isinstance(item, Stop):
                items.append(item)
                if len(items) >= MAX_BATCH:
                    return items, None
                item = self.inbox.get_nowait()
            return items, item
        return items, None

    def _write(self, store: Store, items: list[Write | Barrier]) -> None:
        entries: list[Entry] = []
        writes = [(i.when, i.kind, i.data, i.data_json) for i in items if isinstance(i, Write)]
        if writes and not self._reason:
            try:
                entries = store.append(writes)
            except Exception as error:  # whatever it is: unwritten, so the gate closes
                self._reason = reason_of(error)
        reason = self._reason
        self._post(lambda: self._settle(items, entries, reason))

    def _seal(self, store: Store) -> None:
        if self._reason or store.due_in() != 0:
            return
        try:
            store.seal(self._clock())
        except Exception as error:  # as in _write: what cannot be sealed cannot be proved
            reason = self._reason = reason_of(error)
            self._post(lambda: self._settle([], [], reason))

    def _finish(self, store: Store, reason: str, when: datetime) -> None:
        # Also after a failure: what is durable deserves its signature if the disk takes it. But then the log
        # did not end as the run did.
        try:
            store.finish("failed" if self._reason else reason, when)
        except (sqlite3.Error, AuditError) as error:
            self._reason = self._reason or reason_of(error)
        self._teller.last(store.newest)

    def _tell_opened(self, outcome: tuple[int, str] | BaseException) -> None:
        if not self._opened.done():
            self._opened.set_result(outcome)

    def _post(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._post_to_loop(call)
