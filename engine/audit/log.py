"""The log of a live run: many askers, one writer.

Everything that waits when the writer is free goes into one transaction (group commit), so a burst of
entries costs one sync of the disk, and an asker still gets its answer only after its entry is durable.
The first write that fails closes the gate for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.audit.canonical import Entry
from engine.audit.gate import gate_closed, prepare, utc_now
from engine.audit.run_keys import RunKeys
from engine.audit.teller import Teller
from engine.audit.types import EntryData
from engine.audit.writer import Barrier, Stop, Write, Writer
from engine.errors import AuditGateClosed, MoatError
from engine.home import Home

PLACES = 4096  # entries that may wait for the disk; further askers wait for a place
TIMEOUT = 30.0  # seconds without an answer from the disk that count as failure


class AuditLog:
    """Use as `async with await AuditLog.open(home, path) as log`, from one event loop.

    closed_because: why the gate is closed, "" while it is open. unwritten: entries that `note` accepted
    and the disk then refused. seq, last_hash: of the last durable entry this log told of.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime], places: int, timeout: float) -> None:
        self.path = path
        self.closed_because = ""
        self.unwritten = 0
        self.commits = 0
        self.seq = 0
        self.last_hash = ""
        self._clock = clock
        self._timeout = timeout
        self._places = asyncio.Semaphore(places)
        self._loop = asyncio.get_running_loop()
        self._stopped: asyncio.Future[str] = self._loop.create_future()
        self._closing = False
        self._writer: Writer

    @classmethod
    async def open(
        cls,
        home: Home,
        path: Path,
        *,
        keys: RunKeys | None = None,
        on_checkpoint: Callable[[str, int], None] | None = None,
        clock: Callable[[], datetime] = utc_now,
        places: int = PLACES,
        timeout: float = TIMEOUT,
    ) -> Self:
        """Open or resume the log at `path` and start its writer.

        keys: they seal the log, and are this writer's alone from now on; without them it is a version 1 log
        that nobody signs. on_checkpoint: told note and size of a checkpoint that is durable, in the writer's
        thread: the first, then the newest every ten seconds at most, and the close record.
        clock: aware datetimes; a step back is levelled. Raises AuditError when another writer has the
        log, when the file is no audit log, or when its last entry was tampered with.
        """
        log = cls(path, clock, places, timeout)
        opened: asyncio.Future[tuple[int, str] | BaseException] = log._loop.create_future()
        log._writer = Writer(
            home,
            path,
            post=log._post,
            opened=opened,
            keys=keys,
            teller=Teller(on_checkpoint),
            clock=clock,
            settle=log._settle,
            stopped=log._stop,
        )
        log._writer.start()
        try:
            async with asyncio.timeout(timeout):
                outcome = await opened
        except BaseException as error:
            log._writer.inbox.put(Stop())  # whenever it does open, it closes again
            if isinstance(error, TimeoutError):
                raise gate_closed(path, f"no answer from the disk within {timeout:g} s") from error
            raise
        if isinstance(outcome, BaseException):
            raise outcome
        log.seq, log.last_hash = outcome
        return log

    async def append(self, entry: EntryData) -> Entry:
        """Write `(type, data)`; returns when it is durable.

        Raises AuditGateClosed when it is not (the caller releases nothing then), AuditError for an entry
        that does not fit its type; the latter leaves the gate open.
        """
        answer: asyncio.Future[Entry | None] = self._loop.create_future()
        await self._enqueue(entry, answer)
        written = await self._answer(answer)
        assert written is not None
        return written

    async def note(self, entry: EntryData) -> None:
        """As append, but returns as soon as the entry has its place in the queue; it is durable soon after.

        Waits while the queue is full: an entry is never dropped.
        """
        await self._enqueue(entry, None)

    async def flush(self) -> None:
        """Return when everything accepted so far is durable; AuditGateClosed when something is not."""
        self._require_open()
        barrier: asyncio.Future[Entry | None] = self._loop.create_future()
        self._writer.inbox.put(Barrier(barrier))
        await self._answer(barrier)

    async def close(self, reason: str = "exited") -> None:
        """Write what waits, sign the end, fold the WAL into audit.db, let go of the file.

        reason: of the close record, one of checkpoint.REASONS; `failed` when the gate is closed. Everything
        is let go of in any case. Raises AuditGateClosed when accepted entries or the close record could not
        be written, unless the gate had already told. Closing twice is harmless.
        """
        told = bool(self.closed_because)
        if not self._closing:
            self._closing = True
            self._writer.inbox.put(Stop(reason, self._clock()))
        try:
            async with asyncio.timeout(self._timeout):
                problem = await asyncio.shield(self._stopped)
        except TimeoutError:
            raise gate_closed(self.path, self._stuck()) from None
        self._writer.join(timeout=1.0)  # it has nothing left to do but to end
        if problem and not told:
            raise gate_closed(self.path, problem)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closing:
            await self.close("exited" if error is None else "failed")

    async def _enqueue(self, entry: EntryData, answer: asyncio.Future[Entry | None] | None) -> None:
        kind, data, data_json = prepare(entry)
        self._require_open()
        if self._places.locked():
            try:
                async with asyncio.timeout(self._timeout):
                    await self._places.acquire()
            except TimeoutError:
                raise self._shut(self._stuck()) from None
        else:
            await self._places.acquire()  # at once: there is a place
        try:
            self._require_open()  # it may have closed while this waited
        except AuditGateClosed:
            self._places.release()
            raise
        self._writer.inbox.put(Write(self._clock(), kind, data, data_json, answer))

    async def _answer(self, future: asyncio.Future[Entry | None]) -> Entry | None:
        try:
            async with asyncio.timeout(self._timeout):
                return await future
        except TimeoutError:
            raise self._shut(self._stuck()) from None

    def _require_open(self) -> None:
        if self.closed_because:
            raise gate_closed(self.path, self.closed_because)
        if self._closing:
            raise gate_closed(self.path, "the log was closed")

    def _shut(self, reason: str) -> MoatError:
        self.closed_because = self.closed_because or reason
        return gate_closed(self.path, self.closed_because)

    def _stuck(self) -> str:
        return f"no answer from the disk within {self._timeout:g} s"

    def _post(self, call: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(call)

    def _settle(self, items: list[Write | Barrier], entries: list[Entry], reason: str) -> None:
        """The writer's report on one batch, on the loop: `entries` answer its writes unless it failed."""
        if reason:
            self._shut(reason)
        elif entries:
            self.commits += 1
            self.seq, self.last_hash = entries[-1].seq, entries[-1].hash
        written = iter(entries)
        for item in items:
            if isinstance(item, Write):
                self._places.release()
            answer = item.answer
            result = next(written) if isinstance(item, Write) and not reason else None
            if answer is None:
                self.unwritten += bool(reason)
            elif not answer.done():
                if reason:
                    answer.set_exception(gate_closed(self.path, reason))
                else:
                    answer.set_result(result)

    def _stop(self, problem: str) -> None:
        if not self._stopped.done():
            self._stopped.set_result(problem)
