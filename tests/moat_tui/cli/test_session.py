"""`exec` and `attach`: what is asked of the engine, and what its answers become."""

from __future__ import annotations

import pytest

import engine

LIVE = {"state": engine.RunState.RUNNING, "exit_code": None}


@pytest.fixture
def asked(fake, monkeypatch):
    """The calls to the engine; `answer` is what they return."""
    calls, answer = [], {"code": 0}

    async def exec_in_run(home, run_id, command, io, environ, *, notice):
        calls.append(("exec", run_id, command, io.terminal))
        return answer["code"]

    async def attach_run(home, run_id, io, environ, *, notice):
        calls.append(("attach", run_id, io.terminal))
        return answer["code"]

    async def reap(home):
        return []

    fake("exec_in_run", exec_in_run)
    fake("attach_run", attach_run)
    fake("reap", reap)
    return calls, answer


def test_exec_gives_the_words_as_they_are_and_the_code(moat, put_run, asked, capsys):
    run = put_run(**LIVE)
    calls, answer = asked
    answer["code"] = 7
    assert moat("exec", "swift-otter", "--", "sh", "-c", "exit 7", "--json") == 7
    assert moat("exec", "-i", "-T", run.id) == 7
    assert calls == [("exec", run.id, ("sh", "-c", "exit 7", "--json"), None), ("exec", run.id, (), None)]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["exec", "x", "--"], "there is no command after --"),
        (["exec", "x", "-t", "--", "sh"], "-t needs a terminal"),
        (["exec", "x", "y", "--", "sh"], "unexpected extra argument"),
        (["attach", "x", "--", "sh"], "moat attach takes no command after --"),
    ],
)
def test_what_makes_no_sense(moat, put_run, asked, capsys, argv, said):
    put_run(name="x", **LIVE)
    assert moat(*argv) == 2
    assert said in capsys.readouterr().err
    assert asked[0] == []


@pytest.mark.parametrize(("code", "exit_code"), [(None, 0), (3, 3), (143, 143)])
def test_attach_says_how_to_come_back(moat, put_run, asked, capsys, code, exit_code):
    run = put_run(interactive=True, **LIVE)
    calls, answer = asked
    answer["code"] = code
    assert moat("attach", run.id) == exit_code
    assert calls == [("attach", run.id, None)]
    assert (f"moat attach {run.id}" in capsys.readouterr().err) == (code is None)


@pytest.mark.parametrize("argv", [["exec", "swift-otter", "--", "true"], ["attach", "swift-otter"]])
def test_a_run_that_has_ended(moat, put_run, capsys, argv):
    put_run()
    assert moat(*argv) == 125
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: run swift-otter has ended" in err
    assert len(err.splitlines()) <= 3
