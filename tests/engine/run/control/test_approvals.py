"""What viewers see of held requests, and how they answer: the file, the control socket, config.yaml."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from engine.config.host import load_host_config
from engine.errors import RunStateError
from engine.events import Approval, ControlRequest, RunState
from engine.proxy.approvals import Question
from engine.run.control.approvals import (
    APPROVALS,
    ApprovalDesk,
    answer_approval,
    waiting_approvals,
    watch_approvals,
)

PATIENCE = 20
LOOKALIKE = "n\u0435w.test".encode("idna").decode()  # the second letter is Cyrillic


def question(host="new.test", path="/x"):
    return Question(host, 443, "GET", path, shown=path)


async def shown(run, count):
    async with asyncio.timeout(PATIENCE):
        while len(found := waiting_approvals(run.home, run.id)) != count:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)
    return found


@pytest.fixture
async def run(one_run):
    run = one_run(policy="ask")
    run.begin()
    await run.at("wait")
    yield run
    run.engine.end(0)
    await run.result()
    run.over(RunState.EXITED)
    assert not (run.home.run(run.id) / APPROVALS).exists()


def held(run, *arguments, **named):
    holding = run.supervisor._approvals.holding
    return asyncio.ensure_future(holding.settle(question(*arguments, **named)))


async def test_nobody_is_there_until_a_viewer_says_so(run):
    assert (await held(run)).rule == "approval-headless"
    await watch_approvals(run.home, run.id)
    asking = held(run, LOOKALIKE)
    (approval,) = await shown(run, 1)
    assert (approval.host, approval.reads_as) == (LOOKALIKE, "n\u0435w.test")
    assert (approval.port, approval.method, approval.path) == (443, "GET", "/x")
    assert approval.since < approval.until
    await answer_approval(run.home, run.id, approval.id, "once")
    assert (await asking).allowed
    assert await shown(run, 0) == []
    with pytest.raises(RunStateError, match="does not wait any more"):
        await answer_approval(run.home, run.id, approval.id, "once")


async def test_always_is_written_into_the_persons_own_settings(run):
    run.home.write(run.home.config_file, b"# mine\ntheme: moat-light\n")
    await watch_approvals(run.home, run.id)
    asking = [held(run), held(run, path="/y")]
    first, _ = await shown(run, 2)
    await answer_approval(run.home, run.id, first.id, "always")
    assert all(settled.allowed for settled in await asyncio.gather(*asking))
    assert [str(rule) for rule in load_host_config(run.home).network.rules] == ["new.test:443"]
    assert run.home.read(run.home.config_file).startswith(b"# mine\n")


async def test_what_cannot_be_written_is_said_and_lets_nothing_go(run):
    run.home.write(run.home.config_file, b"theme: [\n")
    await watch_approvals(run.home, run.id)
    asking = held(run)
    (approval,) = await shown(run, 1)
    with pytest.raises(RunStateError, match="not valid YAML"):
        await answer_approval(run.home, run.id, approval.id, "always")
    with pytest.raises(RunStateError, match="no such answer"):
        await answer_approval(run.home, run.id, approval.id, "yes")
    assert not asking.done()
    await answer_approval(run.home, run.id, approval.id, "deny-run")
    assert not (await asking).allowed


async def test_a_screen_that_starts_a_run_is_expected(one_run):
    run = one_run(policy="ask", viewer=True)
    run.begin()
    await run.at("wait")
    asking = held(run)
    await shown(run, 1)
    asking.cancel()
    assert await shown(run, 0) == []
    run.engine.end(0)
    await run.result()


async def test_a_run_that_is_over_shows_nothing(home):
    desk = ApprovalDesk(home, "run_000000000001", 60)
    data = msgspec.json.encode([Approval("a1", "a.test", 443, "GET", "/", "", "")])
    home.write(home.run("run_000000000001") / APPROVALS, data)
    assert waiting_approvals(home, "run_000000000001") == []
    assert desk.obey(ControlRequest(op="answer", approval="a1", answer="once"), "exited").ok is False
