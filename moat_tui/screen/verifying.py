"""Verifying chains one after the other on a thread, with progress, until somebody cancels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from textual.message import Message

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.chain_states import ChainState
from moat_tui.screen.problems import explain
from moat_tui.screen.watch import PROGRESS_EVERY


@dataclass
class Verifying(Message):
    """total: 0 when it is not known yet. left: how many more chains wait."""

    run_id: str
    done: int
    total: int
    left: int


@dataclass
class Verified(Message):
    run_id: str
    state: ChainState


@dataclass
class VerifyingEnded(Message):
    of: Verification
    cancelled: bool


class Verification:
    """`run` is a thread's body; `cancel` may be called from any thread."""

    def __init__(
        self,
        face: EngineFace,
        run_ids: Iterable[str],
        deliver: Callable[[Message], object],
        clock: Callable[[], datetime],
    ) -> None:
        self._face = face
        self._run_ids = list(run_ids)
        self._deliver = deliver
        self._clock = clock
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        self._cancelled.set()

    def run(self) -> None:
        for place, run_id in enumerate(self._run_ids):
            if self._cancelled.is_set():
                break
            state = self._verify(run_id, len(self._run_ids) - place - 1)
            if state is not None:
                self._deliver(Verified(run_id, state))
        self._deliver(VerifyingEnded(self, self._cancelled.is_set()))

    def _verify(self, run_id: str, left: int) -> ChainState | None:
        told = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told >= PROGRESS_EVERY:
                told = time.monotonic()
                self._deliver(Verifying(run_id, done, total, left))

        self._deliver(Verifying(run_id, 0, 0, left))
        try:
            if self._face.audit_stamp(run_id)[0] is None:
                return ChainState(self._clock())
            verdict = self._face.verify(run_id, progress, self._cancelled.is_set)
        except Exception as error:  # one that cannot be verified must not keep the others from it
            return ChainState(self._clock(), None, " ".join(explain(error)))
        return None if verdict.cancelled else ChainState(self._clock(), verdict)
