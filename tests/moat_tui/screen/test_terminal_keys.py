"""Going to an agent's terminal and coming back. The real thing is in tests/e2e/test_terminal.py."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import pytest
from support.screen_home import ago, write_run
from support.waiting import screen_text, wait_for

from engine import RunInfo, RunState
from moat_tui.screen import handover
from moat_tui.screen.handover import Ended, Handover

TALK = RunInfo("run_aaaa1111", "talk", ago(minutes=4), RunState.RUNNING, interactive=True)
PLAIN = RunInfo("run_bbbb2222", "plain", ago(minutes=5), RunState.RUNNING)
ENDED = RunInfo("run_cccc3333", "done", ago(minutes=9), RunState.EXITED, interactive=True, exit_code=0)


class Given(Handover):
    """Notes what the terminal would be given to."""

    def __init__(self, ended=None):
        self.ended = ended or Ended(0, "")
        self.asked = []

    def possible(self, app):
        return True

    async def give(self, app, command, environment, heading):
        self.asked.append((command[-2:], environment["MOAT_HOME"], heading))
        if isinstance(self.ended, Exception):
            raise self.ended
        return self.ended


def only(home, run):
    write_run(home, run)
    return run.name


@pytest.mark.parametrize(
    ("run", "key", "command", "back"),
    [
        (TALK, "t", "attach", "ctrl-p ctrl-q"),
        (PLAIN, "t", "exec", "exit, or ctrl-d"),
        (TALK, "T", "exec", "exit, or ctrl-d"),
    ],
)
async def test_an_interactive_run_is_attached_to_and_any_other_gets_a_shell(
    screen, home, run, key, command, back
):
    name = only(home, run)
    async with screen() as pilot:
        given = pilot.app.handover = Given()
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        await pilot.press(key)
        await wait_for(pilot, lambda: given.asked)
        ((words, where, heading),) = given.asked
        assert words == [command, run.id]
        assert where == str(home.root)
        assert name in heading
        assert back in heading


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (Ended(0, "\nmoat: left talk, which goes on\n"), "left talk, which goes on"),
        (Ended(125, "moat: error: no [b]answer\x1b[2J\nmoat: moat list\n"), "no [b]answer␛[2J"),
        (FileNotFoundError(2, "No such file", "python"), "No such file: python"),
    ],
)
async def test_what_the_command_said_is_a_message_afterwards(screen, home, ended, said):
    only(home, TALK)
    async with screen() as pilot:
        pilot.app.handover = Given(ended)
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        await pilot.press("t")
        await wait_for(pilot, lambda: said in screen_text(pilot))
        assert isinstance(ended, Exception) or ended.code == 0 or "Terminal of talk" in screen_text(pilot)


@pytest.mark.parametrize("why", ["ended", "read-only", "no terminal to give"])
async def test_greyed_out_where_it_cannot_be(screen, home, why):
    only(home, ENDED if why == "ended" else TALK)
    async with screen(read_only=why == "read-only") as pilot:
        given = Given()
        if why != "no terminal to give":
            pilot.app.handover = given
        await wait_for(pilot, lambda: "done" in screen_text(pilot) or "talk" in screen_text(pilot))
        main = pilot.app.screen
        await wait_for(pilot, lambda: main.check_action("verify", ()) is True)
        for action in ("open_terminal", "open_shell", "attach_run"):
            assert main.check_action(action, ()) is None
        await pilot.press("t", "T")
        assert given.asked == []


async def test_a_run_that_is_not_interactive_cannot_be_attached_to(screen, home):
    only(home, PLAIN)
    async with screen() as pilot:
        pilot.app.handover = Given()
        await wait_for(pilot, lambda: pilot.app.screen.check_action("open_shell", ()) is True)
        assert pilot.app.screen.check_action("attach_run", ()) is None


class OneTerminal:
    """As much of an app as a handover needs."""

    def __init__(self):
        self.steps = []

    def batch_update(self):
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def suspend(self):
        self.steps.append("away")
        yield
        self.steps.append("back")  # not in a finally: as Textual's


async def test_the_screen_is_back_whatever_happens(tmp_path, monkeypatch):
    monkeypatch.setattr(handover, "_STREAMS", ())
    before = signal.getsignal(signal.SIGINT)
    app = OneTerminal()
    with pytest.raises(FileNotFoundError):
        await Handover().give(app, [str(tmp_path / "nothing")], {}, "")
    script = "echo said >&2; trap 'exit 4' INT; kill -INT $$; sleep 5"
    ended = await Handover().give(app, ["/bin/sh", "-c", script], {}, "")
    assert ended == Ended(4, "said\n")  # a ctrl-c is the program's: it did not inherit our deafness
    leaving = asyncio.ensure_future(Handover().give(app, ["/bin/sleep", "100"], {}, ""))
    while app.steps.count("away") < 3:  # noqa: ASYNC110 - a fake's list has no event
        await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert app.steps == ["away", "back"] * 3
    assert signal.getsignal(signal.SIGINT) is before
