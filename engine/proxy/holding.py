"""Holding requests until a person has answered: `Approvals` with a clock and with those who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.proxy.approvals import LEASE, ApprovalAnswer, Approvals, Question, Settled, Waiting


class Holding:
    """One per run, in one loop. `changed` is called whenever what waits has changed."""

    def __init__(self, timeout: float, changed: Callable[[], None] = lambda: None) -> None:
        self.approvals = Approvals(timeout)
        self._changed = changed
        self._over: dict[str, asyncio.Event] = {}

    def watch(self, lease: float = LEASE) -> None:
        self.approvals.watch(_now(), lease)

    def answer(self, approval: str, answer: ApprovalAnswer) -> int:
        """How many requests were settled by it; 0 when there is no such approval any more."""
        settled = self.approvals.answer(approval, answer)
        for waiting in settled:
            self._over[waiting.id].set()
        if settled:
            self._changed()
        return sum(waiting.held for waiting in settled)

    async def settle(self, question: Question) -> Settled:
        """Yes or no, at the latest after the timeout. When cancelled, the question is withdrawn."""
        asked = self.approvals.ask(question, _now())
        if isinstance(asked, Settled):
            return asked
        over = self._over.setdefault(asked.id, asyncio.Event())
        self._changed()
        try:
            async with asyncio.timeout_at(asked.deadline):
                await over.wait()
        except TimeoutError:
            return self.approvals.expire(asked)
        finally:
            self._left(asked)
        assert asked.settled is not None
        return asked.settled

    def _left(self, waiting: Waiting) -> None:
        self.approvals.leave(waiting)
        if waiting.held <= 0:
            self._over.pop(waiting.id, None)
        self._changed()


def _now() -> float:
    return asyncio.get_running_loop().time()
