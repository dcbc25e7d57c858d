import msgspec
import pytest

import engine
from engine import RunState

LATER = "run_bbbbbbbbbbbb"


@pytest.fixture
def acted(fake, put_run):
    calls: list[tuple] = []

    async def stop_run(home, run_id, *, kill=False, timeout=30):
        calls.append(("stop", run_id, kill))
        return put_run(run_id, state=RunState.STOPPED, exit_code=143)

    async def destroy_run(home, run_id):
        calls.append(("destroy", run_id))

    async def reap(home):
        return []

    fake("stop_run", stop_run)
    fake("destroy_run", destroy_run)
    fake("reap", reap)
    return calls


@pytest.mark.parametrize(("flags", "kill"), [([], False), (["--kill"], True)])
def test_stop(flags, kill, moat, acted, put_run, capsys):
    put_run(LATER, state=RunState.RUNNING)
    assert moat("stop", *flags) == 0
    assert acted == [("stop", LATER, kill)]
    assert capsys.readouterr().out == f"swift-otter {LATER} stopped\n"


def test_stopping_what_has_ended_does_nothing(moat, acted, put_run, capsys):
    put_run(LATER)
    assert moat("stop", "--json") == 0
    assert acted == []
    out, err = capsys.readouterr()
    assert msgspec.json.decode(out)["state"] == "exited"
    assert "had ended before" in err


def test_destroy_by_name_needs_no_question_in_a_script(moat, acted, put_run, capsys):
    put_run(LATER)
    assert moat("destroy", "swift-otter", "--json") == 0
    assert acted == [("destroy", LATER)]
    assert msgspec.json.decode(capsys.readouterr().out) == {
        "id": LATER,
        "name": "swift-otter",
        "destroyed": True,
    }


def test_destroying_whatever_is_latest_needs_yes_in_a_script(moat, acted, put_run, capsys):
    put_run(LATER)
    assert moat("destroy") == 2
    assert acted == []
    assert "--yes" in capsys.readouterr().err
    assert moat("destroy", "-y") == 0
    assert acted == [("destroy", LATER)]


def test_a_live_run_is_not_destroyed(moat, acted, put_run, capsys):
    put_run(LATER, state=RunState.RUNNING)
    assert moat("destroy", "-y", LATER) == 125
    assert acted == []
    assert f"moat stop {LATER}" in capsys.readouterr().err


DESTROY = """
async def destroy_run(home, run_id): print("destroyed", run_id)
engine.destroy_run = destroy_run
"""


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"y\n", 0), (b"yes\n", 0), (b"\n", 125), (b"n\n", 125), (b"\x04", 125), (b"\x03", 130)],
)
def test_on_a_terminal_destroy_asks_and_only_yes_is_yes(answer, code, terminal, put_run):
    put_run(LATER)
    tty = terminal("destroy", prelude=DESTROY)
    tty.until(b"and its audit log? [y/N] ")
    tty.type(answer)
    assert tty.end(again=b"\x03" if answer == b"\x03" else b"") == code
    assert (f"destroyed {LATER}".encode() in tty.seen) is (code == 0)
    assert b"Traceback" not in tty.seen


def test_clean_says_what_it_did(moat, fake, capsys):
    async def clean(home):
        return ["removed container moat-run_1\x1b[2J"]

    fake("clean", clean)
    assert moat("clean") == 0
    assert capsys.readouterr().out == "removed container moat-run_1\\x1b[2J\n"
    assert moat("clean", "--json") == 0
    assert msgspec.json.decode(capsys.readouterr().out) == {"done": ["removed container moat-run_1\x1b[2J"]}


def test_clean_with_nothing_to_do(moat, fake, capsys):
    async def clean(home):
        return []

    fake("clean", clean)
    assert moat("clean") == 0
    assert capsys.readouterr() == ("", "moat: there was nothing to remove\n")


def test_an_engine_that_fails_is_explained(moat, fake, capsys):
    async def clean(home):
        raise engine.MoatError("Docker does not answer", remedy="Start it: moat doctor --fix")

    fake("clean", clean)
    assert moat("clean") == 125
    assert (
        capsys.readouterr().err == "moat: error: Docker does not answer\nmoat: Start it: moat doctor --fix\n"
    )
