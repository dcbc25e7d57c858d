"""The demo's commands are shown as they could be typed, on a terminal of the usual width."""

import shlex

import pytest

from moat_tui.demo import __main__ as demo


def test_a_long_command_is_broken_between_options_and_stays_the_same_command():
    words = (
        "moat", "--no-ui", "run", "/tmp/a b/workspace", "--name", "demo", "--grant", "github",
        "--policy", "strict", "--connect-to", "api.github.com:443:127.0.0.1:40117",
        "--", "sh", "-c", "curl -sS https://api.github.com/user; echo --- env ---; env | sort",
    )  # fmt: skip
    lines = demo.command_lines(*words)
    assert len(lines) > 2
    assert all(len(line) <= 80 for line in lines)
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert any("--name demo" in line for line in lines)
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == ["$", *words]


def test_a_short_command_is_one_line():
    assert demo.command_lines("moat", "trace", "demo") == ["   $ moat trace demo"]


def test_what_a_command_says_on_stderr_stands_where_it_was_said(monkeypatch, capsys):
    def run(command, **options):
        return real(["sh", "-c", "echo one; echo two >&2; echo three"], **options)

    real = demo.subprocess.run
    monkeypatch.setattr(demo.subprocess, "run", run)
    demo._moat("version")
    assert capsys.readouterr() == ("   $ moat version\n   one\n   two\n   three\n", "")


@pytest.mark.parametrize(("leaving", "code"), [(KeyboardInterrupt, 130), (BrokenPipeError, 141)])
def test_an_interrupted_demo_shows_no_traceback(monkeypatch, leaving, code):
    def stop():
        raise leaving

    monkeypatch.setattr(demo, "_demo", stop)
    monkeypatch.setattr(demo, "abandon_stdout", lambda: None)
    assert demo.main() == code
