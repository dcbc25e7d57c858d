"""A run's waiting approvals: the file that viewers read, and the answers that come by control socket.

approvals.json    [Approval, …], oldest first; replaced whole at each change, gone when the run is over
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec

from engine.config.host import allow_host
from engine.errors import HomeError, MoatError, RunStateError
from engine.events import Approval, ControlReply, ControlRequest, timestamp
from engine.home import Home
from engine.proxy import ApprovalAnswer, Holding, Waiting, unicode_host
from engine.run.control.control import ask
from engine.run.metadata import supervisor_alive

APPROVALS = "approvals.json"
FIRST_LEASE = 30.0  # seconds that a screen which started the run has until it says that it is there

_SOON = 0.02  # seconds in which changes share one writing


class ApprovalDesk:
    """The supervisor's. `close` when the proxy is closed."""

    def __init__(self, home: Home, run_id: str, timeout: float) -> None:
        self.holding = Holding(timeout, self._changed)
        self._home = home
        self._path = home.run(run_id) / APPROVALS
        self._timer: asyncio.TimerHandle | None = None
        self._written = False

    def obey(self, request: ControlRequest, state: str) -> ControlReply:
        """`watch`, and `answer` with an approval's id and one of ApprovalAnswer."""
        if request.op == "watch":
            self.holding.watch()
            return ControlReply(ok=True, state=state)
        waiting = self.holding.approvals.find(request.approval)
        if waiting is None:
            return ControlReply(ok=False, error="it does not wait any more", state=state)
        try:
            answer = ApprovalAnswer(request.answer)
        except ValueError:
            return ControlReply(ok=False, error="there is no such answer", state=state)
        if answer is ApprovalAnswer.ALWAYS:
            try:
                allow_host(self._home, f"{waiting.question.host}:{waiting.question.port}")
            except MoatError as error:
                return ControlReply(ok=False, error=str(error), state=state)
        self.holding.answer(request.approval, answer)
        return ControlReply(ok=True, state=state)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._written:
            self._home.remove(self._path)

    def _changed(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON, self._write)

    def _write(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        approvals = [_shown(waiting, now) for waiting in self.holding.approvals.waiting]
        try:
            self._home.write(self._path, msgspec.json.encode(approvals))
            self._written = True
        except HomeError:  # a full disk: nobody sees them, and they end as unanswered
            return


def _shown(waiting: Waiting, now: float) -> Approval:
    moment, question = datetime.now(UTC), waiting.question
    return Approval(
        id=waiting.id,
        host=question.host,
        reads_as=unicode_host(question.host),
        port=question.port,
        tls=question.tls,
        method=question.method,
        path=question.shown,
        since=timestamp(moment - timedelta(seconds=now - waiting.since)),
        until=timestamp(moment + timedelta(seconds=waiting.deadline - now)),
        requests=waiting.held,
    )


def waiting_approvals(home: Home, run_id: str) -> list[Approval]:
    """What waits in a run now, oldest first. A damaged file shows none; the requests end as unanswered."""
    try:
        data = home.read(home.run(run_id) / APPROVALS)
        found = msgspec.json.decode(data, type=list[Approval])
    except (FileNotFoundError, HomeError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return []
    return found if found and supervisor_alive(home, run_id) else []


async def watch_approvals(home: Home, run_id: str) -> None:
    """Say that somebody is there to answer, for the next LEASE seconds. Raises RunStateError."""
    await ask(home, run_id, ControlRequest(op="watch"))


async def answer_approval(home: Home, run_id: str, approval: str, answer: str) -> None:
    """Answer a waiting approval: one of ApprovalAnswer. Raises RunStateError when it cannot be."""
    reply = await ask(home, run_id, ControlRequest(op="answer", approval=approval, answer=answer))
    if not reply.ok:
        raise RunStateError(
            f"approval {approval} of run {run_id} was not answered",
            detail=reply.error,
            remedy=f"See what waits: moat approvals {run_id}",
        )
