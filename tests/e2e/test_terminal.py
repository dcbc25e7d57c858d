"""Terminals of real containers: commands beside an agent, attaching, and a screen that hands itself over."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess

import pytest
from e2e.conftest import docker, wait_until
from support.pseudo_terminal import Terminal

from engine.audit import read_entries

SLOW = 60.0  # seconds; a loaded machine starts a shell under gVisor in some of them


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(["--no-sandbox"], marks=pytest.mark.docker, id="standard"),
        pytest.param([], marks=[pytest.mark.docker, pytest.mark.gvisor], id="gvisor"),
        pytest.param(["--runtime", "bubblewrap"], marks=pytest.mark.bubblewrap, id="bubblewrap"),
    ],
)
def talk(request, tmp_path_factory):
    """A detached interactive run, called talk, whose agent is a shell."""
    from e2e.conftest import Moat

    place = tmp_path_factory.mktemp("talk")
    (place / "ws").mkdir()
    moat = Moat(place / "home")
    moat("run", place / "ws", "-d", "-i", "-n", "talk", *request.param, "--", "bash", "--norc")
    yield moat
    try:
        assert moat("attach", "talk", given=b"").returncode == 0  # the end of our input is not the agent's
        moat("stop", "--kill", "talk")
        assert moat.json("audit", "talk")["valid"]
    finally:
        moat.close()


@pytest.fixture
def on_terminal(talk):
    opened = []

    def start(*words: str, **more) -> Terminal:
        opened.append(Terminal(talk.command(*words), talk.env, **more))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def logged(moat, kind: str) -> list[dict]:
    """From the log itself: the bundle of a live run ends with what it sealed, up to ten seconds ago."""
    log = moat.home / "runs" / moat.run_named("talk")["id"] / "audit.db"
    return [entry.data for entry in read_entries(log) if entry.type == kind]


def execs(moat) -> list[dict]:
    return logged(moat, "exec")


def test_pipes_are_binary_clean_and_codes_are_the_commands_own(talk):
    data = random.Random(7).randbytes(1_000_000)
    assert talk("exec", "talk", "--", "cat", given=data).stdout == data
    script = "echo out; echo err >&2; cat >/dev/null; exit 42"
    done = talk("exec", "talk", "--", "sh", "-c", script, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (42, b"out\n", b"err\n")
    where = talk("exec", "talk", "--", "sh", "-c", 'pwd; echo "$MOAT_RUN_ID"; echo "$HTTPS_PROXY"; id -u')
    folder, run, proxy, uid = where.stdout.decode().split()
    assert (folder, run, int(uid)) == ("/workspace", talk.run_named("talk")["id"], os.getuid())
    assert proxy.startswith("http://moat:")
    assert talk("exec", "talk", "--", "no-such-command", check=False).returncode in (126, 127)
    wait_until(lambda: {"command": ["cat"], "exit_code": 0, "has_stdin": True} in execs(talk))
    assert any(entry["exit_code"] == 42 for entry in execs(talk))


def test_input_that_the_command_does_not_take(talk):
    done = talk("exec", "talk", "--", "sh", "-c", "head -c 1; exit 3", given=b"x" * 5_000_000, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"x", b"")


@pytest.mark.parametrize(("number", "name", "code"), [(signal.SIGINT, "INT", 7), (signal.SIGHUP, "HUP", 129)])
def test_a_signal_reaches_the_command_through_pipes(talk, number, name, code):
    script = f"trap 'echo caught; touch /tmp/{name}; exit 7' {name}; echo ready; while :; do sleep 0.05; done"
    command = talk.start("exec", "talk", "--", "sh", "-c", script, stdin=subprocess.PIPE)
    assert command.stdout.readline() == b"ready\n"
    command.send_signal(number)
    assert command.wait(SLOW) == code
    command.communicate()
    # After a hang-up the command's own end comes when nobody waits for it any more.
    wait_until(lambda: name in talk("exec", "talk", "--", "ls", "/tmp").stdout.decode().split())


def test_a_terminal_with_its_size_its_keys_and_its_end(talk, on_terminal):
    shell = on_terminal("exec", "talk", size=(31, 101))
    shell.until(b"a shell in talk", SLOW)
    shell.until(b"/workspace", SLOW)
    shell.type(b"stty size; echo $TERM-$((1+1))\r")
    shell.until(b"31 101", SLOW)
    shell.until(b"xterm-2", SLOW)
    assert not shell.echoes()
    shell.resize(41, 131)
    shell.type(b"while [ \"$(stty size)\" != '41 131' ]; do sleep 0.05; done; echo grown-$((1+1))\r")
    shell.until(b"grown-2", SLOW)
    # From inside the job: while the shell still starts one, a ctrl-c is the shell's own.
    shell.type(b"sh -c 'echo begun-$((1+1)); sleep 1000'\r")
    shell.until(b"begun-2", SLOW)
    shell.forget()
    # It arrives: the container's own terminal echoes ^C. Whether the job dies of one is the shell's affair,
    # which may be about to start it; a person presses it again.
    for _ in range(20):
        shell.type(b"\x03")  # which also throws away what was typed and not read
        shell.until(b"^C", SLOW)
        with contextlib.suppress(AssertionError):
            shell.until(b"/workspace", SLOW / 20)
            break
        shell.forget()
    shell.until(b"/workspace", 0.1)
    shell.type(b"exit 9\r")
    assert shell.end(seconds=SLOW) == 9
    assert shell.echoes()


def operations(moat) -> list[str]:
    """What was done with the run's terminal."""
    return [item["operation"] for item in logged(moat, "policy") if item["scope"] == "terminal"]


def test_attach_type_see_leave_and_the_agent_goes_on(talk, on_terminal):
    first = on_terminal("attach", "talk", size=(30, 100))
    first.until(b"leave it running: ctrl-p ctrl-q", SLOW)
    first.type(b"printf '\\033[?2004h'; echo hi-$((1+1)); stty size\r")
    first.until(b"hi-2", SLOW)
    first.until(b"30 100", SLOW)
    second = on_terminal("attach", "talk")
    second.until(b"ctrl-p ctrl-q", SLOW)
    second.type(b"echo both-$((1+1))\r")
    first.until(b"both-2", SLOW)
    second.until(b"both-2", SLOW)
    first.type(b"\x10\x11")
    assert first.end(seconds=SLOW) == 0
    assert first.echoes()
    assert b"\x1b[?2004l" in first.seen  # what the agent had switched on is switched off here
    assert b"come back: moat attach" in first.seen
    second.process.send_signal(signal.SIGTERM)
    assert second.end(seconds=SLOW) == 143
    assert second.echoes()
    assert talk.run_named("talk")["state"] == "running"
    wait_until(lambda: operations(talk).count("attach") >= 2)
    assert "both-2" in talk("logs", "talk").stdout.decode()


def test_the_screen_hands_its_terminal_over_and_takes_it_back(talk, on_terminal):
    talk("run", talk.home.parent / "ws", "-d", "-n", "other", "--no-sandbox", "--", "sleep", "1000")
    screen = on_terminal(size=(40, 120))
    screen.until(b"Requests \xc2\xb7 other", SLOW)

    def visit(come_back: bytes, leave: bytes) -> None:
        screen.forget()
        screen.type(b"t")
        screen.until(b"\x1b[?1049l", SLOW)  # the picture of the screen is gone
        screen.until(b"back to the screen: " + come_back, SLOW)
        screen.type(b"echo hi-$((1+1)); stty size\r")
        screen.until(b"hi-2", SLOW)
        screen.until(b"40 120", SLOW)
        screen.forget()
        screen.type(leave)
        screen.until(b"\x1b[?1049h", SLOW)  # and is back
        screen.until(b"running", SLOW)

    visit(b"exit, or ctrl-d", b"exit 3\r")
    screen.type(b"j")
    screen.until(b"Requests \xc2\xb7 talk", SLOW)
    visit(b"ctrl-p ctrl-q", b"\x10\x11")
    screen.until(b"Requests \xc2\xb7 talk", SLOW)  # at the same place
    screen.until(b"which", SLOW)  # what the command said, "left talk, which …", is a message now
    screen.forget()
    screen.type(b"q")
    assert screen.end(seconds=SLOW) == 0
    assert screen.echoes()
    talk("stop", "--kill", "other")


@pytest.mark.docker
def test_quit_keys_on_an_attached_run_leave_nothing_behind(moat, workspace):
    agent = moat.start("run", workspace, "-i", "-n", "quit", "--no-sandbox", "--", "sh", "-c", "echo up; cat",
                       stdin=subprocess.PIPE)  # fmt: skip
    assert agent.stdout.readline() == b"up\n"
    agent.send_signal(signal.SIGQUIT)
    assert agent.wait(SLOW) == 137
    agent.communicate()
    run = moat.run_named("quit")
    assert run["state"] == "stopped"
    assert docker("ps", "-aq", "--filter", f"label=moat.run={run['id']}") == ""
    assert json.loads(moat("audit", "quit", "--json").stdout)["valid"]
