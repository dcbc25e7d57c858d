"""Who waits, who may answer, what an answer lets go. A clock that the test moves; no sockets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.proxy.approvals import (
    LEASE,
    MAX_HELD,
    MAX_PER_MINUTE,
    MAX_WAITING,
    ApprovalAnswer,
    Approvals,
    Question,
    Settled,
    Waiting,
)

TIMEOUT = 60.0


def question(host: str = "a.test", **changes: Any) -> Question:
    return msgspec.structs.replace(Question(host, 443, "GET", "/x"), **changes)


@pytest.fixture
def approvals() -> Approvals:
    found = Approvals(TIMEOUT)
    found.watch(0, 1000)
    return found


def waits(found: Settled | Waiting) -> Waiting:
    assert isinstance(found, Waiting), found
    return found


def settled(found: Settled | Waiting) -> Settled:
    assert isinstance(found, Settled), found
    return found


def test_nobody_there_is_a_no_at_once_and_a_lease_ends() -> None:
    approvals = Approvals(TIMEOUT)
    assert settled(approvals.ask(question(), 0)).rule == "approval-headless"
    approvals.watch(10)
    assert waits(approvals.ask(question(), 10 + LEASE - 0.1)).deadline == 10 + LEASE - 0.1 + TIMEOUT
    assert settled(approvals.ask(question("b.test"), 10 + LEASE)).rule == "approval-headless"


def test_once_is_about_what_was_shown_and_no_more(approvals: Approvals) -> None:
    get = waits(approvals.ask(question(), 0))
    alike = waits(approvals.ask(question(), 1))
    post = waits(approvals.ask(question(method="POST"), 1))
    path = waits(approvals.ask(question(path="/y"), 1))
    assert alike is get
    assert get.held == 2
    assert approvals.answer(get.id, ApprovalAnswer.ONCE) == (get,)
    assert get.settled == Settled(True, "approval-once", "A person allowed it this once.")
    assert approvals.waiting == (post, path)
    again = waits(approvals.ask(question(), 2))
    assert again.id != get.id


@pytest.mark.parametrize(
    ("answer", "allowed", "rule"),
    [
        ("run", True, "approval-run"),
        ("always", True, "approval-always"),
        ("deny-run", False, "approval-denied"),
    ],
)
def test_an_answer_about_the_host_settles_all_of_that_port_now_and_later(
    approvals: Approvals, answer: str, allowed: bool, rule: str
) -> None:
    first = waits(approvals.ask(question(), 0))
    second = waits(approvals.ask(question(method="DELETE", path="/z"), 0))
    others = [
        waits(approvals.ask(other, 0))
        for other in (question("b.test"), question(port=8443), question(tls=False), question("x.a.test"))
    ]
    assert approvals.answer(second.id, ApprovalAnswer(answer)) == (first, second)
    assert list(approvals.waiting) == others
    later = settled(approvals.ask(question(method="PUT", path="/new"), 9999))
    assert (later.allowed, later.rule) == (allowed, rule)


def test_no_answer_is_a_no_and_an_answer_after_it_settles_nothing(approvals: Approvals) -> None:
    waiting = waits(approvals.ask(question(), 0))
    late = approvals.expire(waiting)
    assert (late.allowed, late.rule) == (False, "approval-timeout")
    approvals.leave(waiting)
    assert approvals.answer(waiting.id, ApprovalAnswer.ALWAYS) == ()
    assert isinstance(approvals.ask(question(), 61), Waiting)


def test_an_answer_that_was_there_first_counts(approvals: Approvals) -> None:
    waiting = waits(approvals.ask(question(), 0))
    approvals.answer(waiting.id, ApprovalAnswer.ONCE)
    assert approvals.expire(waiting).allowed


def test_the_last_client_that_goes_withdraws_it(approvals: Approvals) -> None:
    waiting = waits(approvals.ask(question(), 0))
    approvals.ask(question(), 0)
    approvals.leave(waiting)
    assert approvals.waiting == (waiting,)
    approvals.leave(waiting)
    assert approvals.waiting == ()
    assert approvals.answer(waiting.id, ApprovalAnswer.RUN) == ()
    assert isinstance(approvals.ask(question(), 1), Waiting)


def test_a_flood_is_refused_and_counted(approvals: Approvals) -> None:
    for number in range(MAX_WAITING):
        waits(approvals.ask(question(f"h{number}.test"), 0))
    assert settled(approvals.ask(question("more.test"), 0)).rule == "approval-flood"
    assert isinstance(approvals.ask(question("h0.test"), 0), Waiting)  # shares one
    for _ in range(MAX_HELD - MAX_WAITING - 1):
        approvals.ask(question("h0.test"), 0)
    assert settled(approvals.ask(question("h0.test"), 0)).rule == "approval-flood"
    assert approvals.flooded == 2


def test_a_person_is_not_tired_into_a_yes(approvals: Approvals) -> None:
    for number in range(MAX_PER_MINUTE):
        waiting = waits(approvals.ask(question(), number))
        approvals.answer(waiting.id, ApprovalAnswer.DENY)
    assert settled(approvals.ask(question(), MAX_PER_MINUTE)).rule == "approval-flood"
    assert isinstance(approvals.ask(question(), 60), Waiting)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("ask"), st.sampled_from("abc"), st.sampled_from(["GET", "POST"])),
            st.tuples(st.just("leave"), st.integers(0, 9), st.just("")),
            st.tuples(st.just("answer"), st.integers(0, 9), st.sampled_from(list(ApprovalAnswer))),
        ),
        max_size=40,
    )
)
def test_nothing_is_allowed_that_no_person_allowed(steps: list[tuple[str, Any, Any]]) -> None:
    approvals = Approvals(TIMEOUT)
    approvals.watch(0, 1000)
    held: list[Waiting] = []
    said: dict[str, set[str]] = {}  # host -> what was answered about it
    for step, what, how in steps:
        if step == "ask":
            found = approvals.ask(question(f"{what}.test", method=how), 0)
            if isinstance(found, Waiting):
                held.append(found)
            elif found.allowed:
                assert said[f"{what}.test"] & {"run", "always"}
        elif held and step == "leave":
            approvals.leave(held.pop(what % len(held)))
        elif held:
            waiting = held[what % len(held)]
            if approvals.answer(waiting.id, how):
                said.setdefault(waiting.question.host, set()).add(str(how))
    for waiting in held:
        if waiting.settled is not None and waiting.settled.allowed:
            assert said[waiting.question.host] & {"once", "run", "always"}
    assert all(waiting.settled is None and waiting.held > 0 for waiting in approvals.waiting)
