"""Requests that wait for a person's answer: who waits, who may answer, and what an answer lets go.

A state machine without a clock or a socket: every call says what time it is (monotonic seconds).

    ask ─▶ settled at once: answered before for this run, nobody there to answer, too many
        └▶ waiting ─▶ answered · timed out · withdrawn (its client has gone)

`once` and `deny` are about exactly what was shown: host, port, method and path; requests that are alike
in all of these share one approval. `run`, `always` and `deny-run` are about the host and port, whatever
method and path, from now until the run's end.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum

import msgspec

MAX_WAITING = 16  # approvals of one run at a time
MAX_HELD = 100  # requests of one run at a time, those that share an approval included
MAX_PER_MINUTE = 30  # new approvals of one run: an agent must not tire a person into a yes
LEASE = 10.0  # seconds that a viewer's word holds, that somebody is there to answer


class ApprovalAnswer(StrEnum):
    ONCE = "once"
    RUN = "run"
    ALWAYS = "always"
    DENY = "deny"
    DENY_RUN = "deny-run"

    @property
    def allows(self) -> bool:
        return self in (ApprovalAnswer.ONCE, ApprovalAnswer.RUN, ApprovalAnswer.ALWAYS)

    @property
    def about_host(self) -> bool:
        return self in (ApprovalAnswer.RUN, ApprovalAnswer.ALWAYS, ApprovalAnswer.DENY_RUN)


class Question(msgspec.Struct, frozen=True):
    """What a person is asked. `path` decides which requests are alike; `shown` is it, redacted."""

    host: str
    port: int
    method: str
    path: str
    tls: bool = True
    shown: str = ""

    @property
    def place(self) -> tuple[str, int, bool]:
        return self.host, self.port, self.tls


class Settled(msgspec.Struct, frozen=True):
    """rule: short and stable in logs; message and remedy: for a person."""

    allowed: bool
    rule: str
    message: str
    remedy: str = ""


class Waiting(msgspec.Struct):
    """One approval. `held`: how many requests wait for it; `settled` when it is over."""

    id: str
    question: Question
    since: float
    deadline: float
    held: int = 1
    settled: Settled | None = None


class Approvals:
    """Of one run. timeout: seconds until an approval that nobody answered is a no."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._waiting: dict[str, Waiting] = {}
        self._answered: dict[tuple[str, int, bool], ApprovalAnswer] = {}
        self._begun: deque[float] = deque()
        self._watched_until = float("-inf")
        self._asked = 0
        self.flooded = 0  # requests that were refused because too many waited or were asked about

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """Oldest first."""
        return tuple(self._waiting.values())

    def watch(self, now: float, lease: float = LEASE) -> None:
        """A viewer says that somebody is there to answer."""
        self._watched_until = max(self._watched_until, now + lease)

    def watched(self, now: float) -> bool:
        return now < self._watched_until

    def ask(self, question: Question, now: float) -> Settled | Waiting:
        """Settled at once, or what to wait for; then `leave` is to be called once, however it ends."""
        answered = self._answered.get(question.place)
        if answered is not None:
            return _by_person(answered, before=True)
        if sum(waiting.held for waiting in self._waiting.values()) >= MAX_HELD:
            return self._flood()
        for waiting in self._waiting.values():
            if _alike(waiting.question, question):
                waiting.held += 1
                return waiting
        if not self.watched(now):
            return _HEADLESS
        while self._begun and self._begun[0] <= now - 60:
            self._begun.popleft()
        if len(self._waiting) >= MAX_WAITING or len(self._begun) >= MAX_PER_MINUTE:
            return self._flood()
        self._begun.append(now)
        self._asked += 1
        waiting = Waiting(f"a{self._asked}", question, now, now + self._timeout)
        self._waiting[waiting.id] = waiting
        return waiting

    def find(self, approval: str) -> Waiting | None:
        return self._waiting.get(approval)

    def answer(self, approval: str, answer: ApprovalAnswer) -> tuple[Waiting, ...]:
        """Settle it, and whatever else the answer is about; returns all that are settled now.

        Empty when no such approval waits (any more).
        """
        asked = self._waiting.get(approval)
        if asked is None:
            return ()
        over: tuple[Waiting, ...] = (asked,)
        if answer.about_host:
            place = asked.question.place
            self._answered[place] = answer
            over = tuple(waiting for waiting in self._waiting.values() if waiting.question.place == place)
        for waiting in over:
            waiting.settled = _by_person(answer)
            del self._waiting[waiting.id]
        return over

    def expire(self, waiting: Waiting) -> Settled:
        """Its deadline has come; an answer that was there first counts."""
        if waiting.settled is None:
            waiting.settled = Settled(
                False,
                "approval-timeout",
                f"Nobody answered within {self._timeout:g} seconds whether this run may reach it "
                "(network policy `ask`).",
                "Try again while a person watches, or have the host added to network.allow in agent.yaml.",
            )
            self._waiting.pop(waiting.id, None)
        return waiting.settled

    def leave(self, waiting: Waiting) -> None:
        """One of its requests waits no more. The last one to go unanswered withdraws the approval."""
        waiting.held -= 1
        if waiting.held <= 0:
            self._waiting.pop(waiting.id, None)

    def _flood(self) -> Settled:
        self.flooded += 1
        return Settled(
            False,
            "approval-flood",
            "Too many requests of this run wait for a person's answer, or were put to one just now.",
            "Wait until those are answered, then try again.",
        )


def _alike(one: Question, other: Question) -> bool:
    return (one.place, one.method, one.path) == (other.place, other.method, other.path)


def _by_person(answer: ApprovalAnswer, *, before: bool = False) -> Settled:
    how = {
        ApprovalAnswer.ONCE: "this once",
        ApprovalAnswer.RUN: "for this run",
        ApprovalAnswer.ALWAYS: "for good",
        ApprovalAnswer.DENY: "this once",
        ApprovalAnswer.DENY_RUN: "for this run",
    }[answer]
    when = "has " if before else ""
    if answer.allows:
        return Settled(True, f"approval-{answer}", f"A person {when}allowed it {how}.")
    return Settled(
        False,
        "approval-denied",
        f"A person {when}denied it {how} (network policy `ask`).",
        "Do without it, or ask the person who runs this agent.",
    )


_HEADLESS = Settled(
    False,
    "approval-headless",
    "This run's network policy is `ask`, and nobody is there to be asked.",
    "A person can open the screen (moat) or say `moat approvals --watch`; or add the host to network.allow.",
)
