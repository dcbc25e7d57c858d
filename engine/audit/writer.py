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
from engine.audit.signer import Signer
from engine.audit.store import Store
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
    """The last item: sign when there is a signer, close, end."""

    signer: Signer | None = None
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
        self._settle = settle
        self._stopped = stopped
        self._reason = ""

    def run(self) -> None:
        try:
            store = Store.open(self._home, self._path)
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
            items, stop = self._next_batch()
            if items:
                self._write(store, items)
            if stop is not None:
                if stop.signer is not None and stop.when is not None:
                    self._attest(store, stop.signer, stop.when)
                return

    def _next_batch(self) -> tuple[list[Write | Barrier], Stop | None]:
        """Wait for one item, then take all that wait behind it."""
        items: list[Write | Barrier] = []
        item = self.inbox.get()
        with contextlib.suppress(queue.Empty):
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

    def _attest(self, store: Store, signer: Signer, when: datetime) -> None:
        # Also after a failure: what is durable deserves its signature if the disk takes it.
        try:
            store.attest(signer, when)
        except (sqlite3.Error, AuditError) as error:
            self._reason = self._reason or reason_of(error)

    def _tell_opened(self, outcome: tuple[int, str] | BaseException) -> None:
        if not self._opened.done():
            self._opened.set_result(outcome)

    def _post(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._post_to_loop(call)
