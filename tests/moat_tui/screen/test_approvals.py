"""A request waits: it comes up, it is answered, and no key that was meant for something else answers it."""

from __future__ import annotations

import msgspec
import pytest
from support.screen_home import NOW, ago, write_run
from support.waiting import screen_text, wait_for
from textual.app import App
from textual.widgets import Button, Input

from engine import Approval, MoatError, RunInfo, RunState, timestamp
from moat_tui.screen.dialogs.approvals import ApprovalsDialog
from moat_tui.screen.dialogs.help import HelpDialog
from moat_tui.screen.dialogs.start_run import StartRunDialog
from moat_tui.screen.main_screen import MainScreen
from moat_tui.screen.models import approval_queue

RUN = RunInfo("run_aaaa1111", "swift-otter", ago(minutes=4), RunState.RUNNING, policy="ask")
OTHER = RunInfo("run_bbbb2222", "calm-heron", ago(minutes=3), RunState.RUNNING, policy="ask")
SIZES = [(80, 24), (120, 40)]


def approval(id="a1", host="new.test", **changes):
    base = Approval(id, host, 443, "POST", "/v1/upload", since=ago(seconds=12), until=ago(seconds=-48))
    return msgspec.structs.replace(base, **changes)


@pytest.fixture
def ask(home, face):
    for run in (RUN, OTHER):
        write_run(home, run)

    def put(*waiting, run=RUN):
        if waiting:
            home.write(face.approvals_file(run.id), msgspec.json.encode(waiting))
        else:
            home.remove(face.approvals_file(run.id))

    face.approvals_really = face.approvals
    face.approvals = lambda run_id: (
        face.approvals_really(run_id) if face.approvals_file(run_id).exists() else []
    )
    return put


@pytest.fixture
def bells(monkeypatch):
    rung = []
    monkeypatch.setattr(App, "bell", lambda self: rung.append(1))
    return rung


async def ready(pilot):
    await wait_for(pilot, lambda: "● running" in screen_text(pilot))


async def shown(pilot, *texts):
    await wait_for(
        pilot,
        lambda: (
            isinstance(pilot.app.screen, ApprovalsDialog)
            and all(text in screen_text(pilot) for text in texts)
        ),
    )


@pytest.fixture(autouse=True)
def restless(monkeypatch):
    """It is quiet only when a test says so, however slow the machine."""
    monkeypatch.setattr(approval_queue, "QUIET", 1000.0)


def quiet(pilot):
    """The half second has passed."""
    pilot.app.screen._desk.queue._quiet_from = 0.0


async def test_what_is_read_above_it_stays_when_nothing_waits_any_more(screen, face, ask):
    async with screen((80, 24)) as pilot:
        await ready(pilot)
        ask(approval())
        await shown(pilot, "new.test:443")
        dialog = pilot.app.screen
        above = HelpDialog(dialog)
        await pilot.app.push_screen(above)
        ask()
        await wait_for(pilot, lambda: not dialog._desk.queue.waiting)
        dialog.redraw()
        assert pilot.app.screen is above
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


@pytest.mark.parametrize("size", SIZES)
async def test_it_comes_up_says_all_and_is_answered(screen, face, ask, bells, size):
    async with screen(size) as pilot:
        await ready(pilot)
        titles = []
        pilot.app.title_terminal = titles.append
        await wait_for(pilot, lambda: face.called("watch_approvals"))
        ask(approval(), approval("a2", "other.test"))
        await shown(
            pilot, "2 requests", "new.test:443", "swift-otter wants to send POST to", "/v1/upload",
            "12s, refused in 48s",
            "other.test:443", "Once (o)", "Never (n)",
        )  # fmt: skip
        assert bells == [1]
        assert "Moat · 2 live · 2 waiting" in titles
        quiet(pilot)
        await pilot.press("r")
        await wait_for(pilot, lambda: face.called("answer_approval") == [(RUN.id, "a1", "run")])
        ask(approval("a2", "other.test"))
        await shown(pilot, "1 request ")
        quiet(pilot)
        await pilot.press("d")
        await wait_for(pilot, lambda: face.called("answer_approval")[1:] == [(RUN.id, "a2", "deny")])
        ask()
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        assert bells == [1]


async def test_no_key_of_the_first_half_second_answers_and_enter_never_does(screen, face, ask):
    async with screen() as pilot:
        await ready(pilot)
        ask(approval())
        await shown(pilot, "new.test:443")
        await pilot.press("o", "r", "a", "d", "n", "enter", "space")
        assert isinstance(pilot.app.screen, ApprovalsDialog)
        assert pilot.app.focused is None
        quiet(pilot)
        await pilot.press("enter", "space")
        assert face.called("answer_approval") == []
        await pilot.press("o")  # enter and space meant nothing: a person is typing something
        assert face.called("answer_approval") == []
        quiet(pilot)
        await pilot.press("o")
        await wait_for(pilot, lambda: face.called("answer_approval") == [(RUN.id, "a1", "once")])


async def test_an_answer_is_never_about_one_that_has_just_come_into_view(screen, face, ask):
    async with screen() as pilot:
        await ready(pilot)
        ask(approval(), approval("a2", "evil.test"))
        await shown(pilot, "new.test:443")
        quiet(pilot)
        ask(approval("a2", "evil.test"))  # the first one's client has gone
        await shown(pilot, "1 request ")
        await pilot.press("a")
        assert face.called("answer_approval") == []


async def test_it_does_not_come_up_over_a_dialog_and_can_be_left_and_come_back_to(screen, face, ask, bells):
    async with screen() as pilot:
        await ready(pilot)
        await pilot.press("s")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, StartRunDialog))
        ask(approval())
        await wait_for(pilot, lambda: bells == [1])
        assert isinstance(pilot.app.screen, StartRunDialog)
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        await wait_for(pilot, lambda: "⚑ 1 request for you: W" in screen_text(pilot))
        await wait_for(pilot, lambda: "⚑ 1 waiting" in screen_text(pilot))
        await pilot.press("W")
        await shown(pilot, "new.test:443")
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        assert face.called("answer_approval") == []


async def test_while_somebody_writes_in_a_field_it_waits(screen, ask, bells):
    async with screen() as pilot:
        await ready(pilot)
        await pilot.press("2", "slash")
        await wait_for(pilot, lambda: isinstance(pilot.app.focused, Input))
        ask(approval())
        await wait_for(pilot, lambda: bells == [1])
        assert isinstance(pilot.app.screen, MainScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_a_long_host_wraps_and_a_lookalike_is_spelled_out(screen, ask, size):
    host = "api.github.com." + "-".join(["login"] * 10) + ".x.evil.test"
    async with screen(size) as pilot:
        await ready(pilot)
        ask(approval(host=host))
        await shown(pilot, "wants to send POST to", "Never (n)")
        await wait_for(pilot, lambda: f"{host}:443" in "".join(_dialog(pilot)))
        ask(approval("a2", "xn--pple-43d.com", reads_as="\u0430pple.com"))
        await shown(pilot, "xn--pple-43d.com:443", "which reads as", "\u0430pple.com")


def _dialog(pilot):
    """The dialog's own lines, without the screen that shows beside it."""
    box = pilot.app.screen.query_one(".dialog").region
    lines = screen_text(pilot).splitlines()[box.y + 1 : box.bottom - 1]
    return [line[box.x + 1 : box.right - 1].strip() for line in lines]


async def test_several_runs_and_choosing_among_them(screen, face, ask):
    async with screen((80, 24)) as pilot:
        await ready(pilot)
        ask(approval())
        ask(approval("a1", "second.test", since=ago(seconds=5)), run=OTHER)
        await shown(pilot, "▸ POST new.test:443", "second.test:443", "calm-heron")
        await pilot.press("j")
        await shown(pilot, "▸ POST second.test:443")
        await pilot.click(Button)  # too early
        quiet(pilot)
        await pilot.click("#always")
        await wait_for(pilot, lambda: face.called("answer_approval") == [(OTHER.id, "a1", "always")])


async def test_read_only_shows_it_and_cannot_answer(screen, face, ask):
    async with screen(read_only=True) as pilot:
        await ready(pilot)
        ask(approval())
        await shown(pilot, "new.test:443", "read-only")
        quiet(pilot)
        await pilot.press("o", "r", "a", "d", "n")
        await pilot.click("#once")
        assert not face.called("answer_approval")
        assert not face.called("watch_approvals")


async def test_an_answer_that_does_not_arrive_is_said(screen, face, ask):
    face.errors["answer_approval"] = [MoatError("it does not wait any more")]
    async with screen() as pilot:
        await ready(pilot)
        ask(approval())
        await shown(pilot, "new.test:443")
        quiet(pilot)
        await pilot.press("o")
        await wait_for(pilot, lambda: "it does not wait any more" in screen_text(pilot))


async def test_runs_that_do_not_ask_are_not_told(screen, home, face):
    write_run(home, msgspec.structs.replace(RUN, policy="strict", created_at=timestamp(NOW)))
    async with screen() as pilot:
        await ready(pilot)
        assert not face.called("watch_approvals")
