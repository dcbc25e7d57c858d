"""One run's place in the installation's log: what its supervisor tells, without ever waiting for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from engine.audit import RunKeys
from engine.audit.checkpoint import parse_checkpoint
from engine.audit.note import parse_note
from engine.credentials import KeySource
from engine.errors import MoatError
from engine.heads import record
from engine.home import Home

LAST_SECONDS = 15.0  # for what is still to be told at the end; another command may be signing


class RunHeads:
    """`begin` once, then `tell` from any thread, then `close`. say: called from a thread, once at most."""

    def __init__(self, home: Home, keys: KeySource, run_id: str, say: Callable[[str], None]) -> None:
        self._home = home
        self._keys = keys
        self._run_id = run_id
        self._say = say
        self._said = False
        self._changed = threading.Condition()
        self._newest = ""
        self._ended = False
        self._thread: threading.Thread | None = None

    def begin(self) -> RunKeys:
        """The run's keys, its start recorded. Blocking; raises MoatError, and the run must not start then."""
        return record.begin_run(self._home, self._keys, self._run_id)

    def tell(self, note: str, _size: int = 0) -> None:
        """Record this checkpoint or close record soon; returns at once.

        One that waits while a newer one comes is left out: whoever knows the newer one knows it too.
        """
        with self._changed:
            self._newest = note
            self._changed.notify()
            if self._thread is None and not self._ended:
                # A daemon: a disk that never answers must not keep the process.
                self._thread = threading.Thread(
                    target=self._record, name=f"heads {self._run_id}", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Returns when what was told is recorded, or after LAST_SECONDS. Blocking."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(LAST_SECONDS)
            if self._thread.is_alive():
                self._complain(f"no answer within {LAST_SECONDS:g} s")

    def _record(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest or self._ended)
                note, self._newest = self._newest, ""
            if not note:
                return
            try:
                if parse_checkpoint(parse_note(note.encode()).text).closed:
                    record.close_run(self._home, self._keys, self._run_id, note)
                else:
                    record.record_head(self._home, self._run_id, note)
            except (MoatError, OSError) as error:
                self._complain(str(error))

    def _complain(self, why: str) -> None:
        """The run goes on: its own log is sealed all the same."""
        if not self._said:
            self._said = True
            self._say(f"the installation's log does not learn how far this run's log has got: {why}")
