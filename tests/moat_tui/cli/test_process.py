"""What only a whole process can show: what it imports, its terminal, a reader that leaves, closed streams."""

import json
import os
import subprocess
import sys

import pytest

from engine import LogLine, RequestRecord, RunState

LATER = "run_bbbbbbbbbbbb"
HEAVY = {"textual", "rich", "mitmproxy", "aiodocker", "aiohttp", "cryptography", "keyring"}

# At exit, so that whatever the command did is in it.
TELL = """
import atexit, os
def tell(): os.write(2, " ".join({name.partition(".")[0] for name in sys.modules}).encode())
atexit.register(tell)
"""


def imported(process: subprocess.Popen[bytes]) -> set[str]:
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return set(err.decode().splitlines()[-1].split())


@pytest.mark.parametrize(
    ("argv", "prelude"),
    [
        (["--no-ui", "list"], ""),
        (["version"], ""),
        (["logs"], ""),
        (["trace"], ""),
        (["--help"], ""),
        (["grant", "list"], "engine.list_grants = lambda home, profile: []"),
    ],
)
def test_commands_that_look_import_nothing_heavy(argv, prelude, start, put_run):
    put_run(
        LATER,
        logs=(LogLine(ts="", line="x"),),
        requests=(RequestRecord(id="1", ts="", method="GET", url=""),),
    )
    modules = imported(start(*argv, prelude=TELL + prelude))
    assert "moat_tui" in modules
    assert modules & (HEAVY | {"asyncio"}) == set()


def test_list_beside_a_live_run_imports_nothing_heavy(start, put_run):
    put_run(LATER, state=RunState.RUNNING)
    prelude = "async def reap(home): return []\nengine.reap = reap"
    assert imported(start("list", prelude=TELL + prelude)) & HEAVY == set()


def test_a_run_never_imports_the_screen(start):
    prelude = """
async def run_attached(home, request, io, notice):
    return engine.RunInfo(id="run_1", name="n", created_at="", state=engine.RunState.EXITED, exit_code=0)
engine.run_attached = run_attached
"""
    modules = imported(start("--no-ui", "run", "--", "true", prelude=TELL + prelude))
    assert modules & HEAVY == set()
    assert "moat_tui" in modules


SCREEN = """
import types
def run_screen(home, *, run_id="", start=None, read_only=False):
    print("SCREEN", start.command if start else None, start.tty if start else None)
    return 4
sys.modules["moat_tui.screen"] = types.SimpleNamespace(run_screen=run_screen)
async def run_attached(home, request, io, notice):
    notice("ATTACHED %s %s %s" % (request.interactive, request.tty, io.terminal))
    return engine.RunInfo(id="run_1", name="n", created_at="", state=engine.RunState.EXITED, exit_code=5)
async def start_detached(home, request, timeout=60, notice=print):
    return engine.RunInfo(id="run_1", name="n", created_at="", state=engine.RunState.RUNNING)
engine.run_attached, engine.start_detached = run_attached, start_detached
"""


@pytest.mark.parametrize(
    ("argv", "code", "shown"),
    [
        ([], 4, b"SCREEN None None"),
        (["run", "--", "true"], 4, b"SCREEN ('true',) True"),
        (["--no-ui"], 2, b"Usage: moat"),
        (["--no-ui", "run"], 5, b"ATTACHED False True 0"),
        (["run", "-i"], 5, b"ATTACHED True True 0"),
        (["run", "-d"], 0, b"run_1"),
        (["version"], 0, b"moat 0"),
    ],
)
def test_on_a_terminal(argv, code, shown, terminal):
    tty = terminal(*argv, prelude=SCREEN)
    assert tty.end() == code
    assert shown in tty.seen


@pytest.mark.parametrize(("argv", "code"), [([], 2), (["run"], 5), (["run", "-i"], 5)])
def test_without_a_terminal_nothing_opens_a_screen(argv, code, start):
    process = start(*argv, prelude=SCREEN)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"SCREEN" not in out
    assert (b"None" in err) is (argv != [])  # no terminal is handed to the engine


def test_a_pipe_at_either_end_is_no_terminal(start):
    """`moat run | tee log` and `make-input | moat run` are both headless."""
    master, slave = os.openpty()
    try:
        for streams in ({"stdin": slave}, {"stdout": slave}):
            process = start("run", prelude=SCREEN, **streams)
            assert b"ATTACHED" in process.communicate(timeout=20)[1]
            assert process.returncode == 5
    finally:
        os.close(master)
        os.close(slave)


APPROVAL = """
async def run_attached(home, request, io, notice):
    if request.accepted != ("grant github",):
        raise engine.ApprovalNeeded("agent.yaml asks for more", asks=("grant github",))
    return engine.RunInfo(id="run_1", name="n", created_at="", state=engine.RunState.EXITED, exit_code=6)
engine.run_attached = run_attached
"""


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 6), (b"\n", 125), (b"\x03", 130)])
def test_a_person_at_the_terminal_decides_about_wider_wishes(answer, code, terminal):
    tty = terminal("--no-ui", "run", prelude=APPROVAL)
    tty.until(b"start it with these? [y/N] ")
    assert b"grant github" in tty.seen
    tty.type(answer)
    assert tty.end(again=b"\x03" if answer == b"\x03" else b"") == code


def test_logs_on_a_terminal_cannot_reach_it(terminal, put_run):
    put_run(LATER, logs=(LogLine(ts="", line="\x1b[32mgreen\x1b]52;c;ZXZpbA==\x07\rx"),))
    tty = terminal("logs")
    assert tty.end() == 0
    assert tty.seen == b"\x1b[32mgreen\\x1b]52;c;ZXZpbA==\\x07\\rx\x1b[0m\r\n"


def test_no_color_is_honoured(terminal, put_run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    put_run(LATER, logs=(LogLine(ts="", line="\x1b[32mgreen\x1b[m"),))
    tty = terminal("logs")
    assert tty.end() == 0
    assert tty.seen == b"green\r\n"


@pytest.mark.parametrize("argv", [["logs"], ["logs", "-f"], ["list"], ["--help"]])
def test_a_reader_that_leaves_causes_no_traceback(argv, start, put_run):
    put_run(LATER, logs=tuple(LogLine(ts="", line="x" * 1000) for _ in range(500)))
    read, write = os.pipe()
    os.close(read)
    process = start(*argv, stdout=write)
    os.close(write)
    assert process.communicate(timeout=20)[1] == b""
    assert process.returncode == 141


def test_a_full_disk_is_said(start, put_run):
    put_run(LATER)
    with open("/dev/full", "wb") as full:
        process = start("list", stdout=full)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 125
    assert err == b"moat: error: standard output could not be written: No space left on device\n"


def test_closed_streams_are_not_reused_for_files(tmp_path, put_run):
    """With 0, 1 and 2 closed the first file opened would become stdout and get what is printed."""
    put_run(LATER)
    code = (
        "import os; [os.close(fd) for fd in (0, 1, 2)]; "
        "from moat_tui.cli.main import main; code = main(['list']); "
        f"fd = os.open({str(tmp_path / 'first')!r}, os.O_CREAT | os.O_RDWR); os._exit(code if fd > 2 else 99)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=20, check=False)
    assert done.returncode == 0


def test_text_that_the_encoding_lacks_is_spelled_out(start, put_run):
    put_run(LATER, logs=(LogLine(ts="", line="naïve 日本"),))
    process = start("logs", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, b"na\\xefve \\u65e5\\u672c\n", b"")


def test_an_argument_that_is_no_text_is_refused(start):
    process = start("run", "--", b"caf\xe9")  # type: ignore[arg-type]
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err == b"moat: error: argument 2 is not valid UTF-8\n"


def test_python_dash_m_imports_nothing_from_the_workspace(tmp_path):
    """The working directory may be an agent's; what it wrote there must not become part of Moat."""
    for name in ("click", "engine", "msgspec"):
        (tmp_path / f"{name}.py").write_text(f"open('hijacked-{name}', 'w').close()")
    command = [sys.executable, "-m", "moat_tui", "list"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert b"no runs yet" in done.stderr
    assert list(tmp_path.glob("hijacked-*")) == []


def test_a_pipe_gets_utf_8_whatever_the_locale(start, put_run):
    old = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    put_run(LATER, command=("echo", "é日"), logs=(LogLine(ts="", line="é日"),))
    out, _ = start("list", "--json", env=old).communicate(timeout=20)
    assert json.loads(out)[0]["command"] == ["echo", "é日"]
    out, _ = start("logs", env=old).communicate(timeout=20)
    assert out == "é日\n".encode()
