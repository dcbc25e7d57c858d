import pytest

COMMANDS = [
    "run",
    "exec",
    "attach",
    "list",
    "logs",
    "trace",
    "audit",
    "witness",
    "policy",
    "approvals",
    "approve",
    "deny",
]
COMMANDS += ["snapshot", "snapshots", "restore", "worktree"]
COMMANDS += ["stop", "destroy", "volumes", "grant", "revoke", "doctor", "clean", "version"]


@pytest.mark.parametrize("argv", [[], ["--no-ui"]])
def test_without_a_terminal_and_a_command_it_helps_and_fails(argv, moat, capsys):
    assert moat(*argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: moat ")
    assert ("the screen cannot be opened here: stdin or stdout is no terminal" in err) == (argv == [])


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize(
    "command",
    [
        [],
        *([name] for name in COMMANDS),
        ["audit", "verify"],
        ["audit", "prove"],
        ["audit", "verifier"],
        ["grant", "list"],
        ["volumes", "rm"],
        ["witness", "status"],
        ["witness", "push"],
        ["witness", "key"],
        ["witness", "serve"],
        ["policy", "suggest"],
        ["policy", "test"],
    ],
)
def test_help_is_printed_everywhere(command, flag, moat, capsys):
    assert moat(*command, flag) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Usage: {' '.join(['moat', *command])} ")
    assert "..." not in out.replace("ARGS]...", "")
    assert err == ""


def test_help_lists_every_command(moat, capsys):
    moat("--help")
    listed = [line.split()[0] for line in capsys.readouterr().out.partition("Commands:\n")[2].splitlines()]
    assert listed == COMMANDS


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["lst"], "No such command 'lst'. Did you mean 'list'?"),
        (["list", "--foo"], "No such option '--foo'."),
        (["list", "x"], "Got unexpected extra argument (x)"),
        (["logs", "-n", "-1"], "Invalid value for '-n' / '--lines'"),
        (["--", "true"], "a command after -- needs `run` or `exec` before it"),
        (["list", "--", "true"], "moat list takes no command after --"),
        (["list\x1b[2J"], "No such command 'list\\x1b[2J'"),
    ],
)
def test_usage_errors(argv, says, moat, capsys):
    assert moat(*argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("moat: error: ")
    assert says in err
    assert "\x1b" not in err
    assert len(err.splitlines()) <= 3
    assert all(line.startswith("moat: ") for line in err.splitlines())


def test_an_unexpected_error_names_the_command(moat, fake, capsys):
    def explode(home):
        raise ValueError("a secret text")

    fake("list_runs", explode)
    assert moat("list") == 125
    assert capsys.readouterr().err.startswith("moat: internal error: ValueError in list;")


def test_a_home_that_is_a_file_is_named_with_the_remedy(moat, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "file"))
    assert moat("list") == 125
    assert capsys.readouterr().err == (
        f"moat: error: {tmp_path}/file is a file; Moat keeps its files in a directory\n"
        "moat: Point MOAT_HOME at a directory of your own.\n"
    )


def test_a_count_that_is_none_is_called_a_number(moat, capsys):
    assert moat("logs", "-n", "x") == 2
    assert "'x' is not a valid number" in capsys.readouterr().err


def test_version_is_an_option_too(moat, capsys):
    assert moat("--version") == 0
    assert capsys.readouterr().out.startswith("moat ")
