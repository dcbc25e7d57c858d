import os
from collections.abc import Callable

import msgspec
import pytest

import engine
from moat_tui.cli import run as run_module

SECRET = "s3cr3t-value-that-no-message-repeats"


def info(**fields: object) -> engine.RunInfo:
    base = {"id": "run_bbbbbbbbbbbb", "name": "swift-otter", "created_at": "2026-01-12T10:00:00Z"}
    return engine.RunInfo(**{**base, "state": engine.RunState.EXITED, "exit_code": 0, **fields})


@pytest.fixture
def asked(fake: Callable[[str, object], None]) -> list[engine.RunRequest]:
    """Every request that reached the engine; the run does nothing and exits 0."""
    seen: list[engine.RunRequest] = []

    async def run_attached(home, request, io, notice):
        seen.append(request)
        return info()

    async def start_detached(home, request, timeout=60, notice=print):
        seen.append(request)
        return info(state=engine.RunState.RUNNING, exit_code=None)

    fake("run_attached", run_attached)
    fake("start_detached", start_detached)
    return seen


def test_bare_run_asks_for_this_directory_and_nothing_else(moat, asked, tmp_path):
    assert moat("--no-ui", "run") == 0
    assert asked == [engine.RunRequest(workspace=str(tmp_path))]


def test_every_option_reaches_the_engine(moat, asked, tmp_path, monkeypatch):
    monkeypatch.setenv("FROM_HERE", SECRET)
    code = moat(
        "--no-ui", "run", "-n", "n1", "-g", "github,openai", "-g", "github", "-e", "A=b=c", "-e", "FROM_HERE",
        "-e", "EMPTY=", "-m", "a:/a:ro", "-m", "b:/b", "--volume", "c:/c:ro",
        "-p", "web:3000", "--publish", "8080", "-i", "--image", "img", "--runtime", "docker",
        "--no-sandbox", "--docker", "dind",
        "--policy", "strict", "--allow-host", "x.test", "--allow-host", "y.test",
        "--profile", "work", "--keep", "--no-grant", "linear,sentry",
        "--accept-config", "--connect-to", "a:443:127.0.0.1:8443", "--upstream-ca", "ca.pem", "sub",
        "--", "sh", "-c", "-g x",
    )  # fmt: skip
    assert code == 0
    assert asked == [
        engine.RunRequest(
            workspace=str(tmp_path / "sub"),
            command=("sh", "-c", "-g x"),
            name="n1",
            grants=("github", "openai"),
            without_grants=("linear", "sentry"),
            env={"A": "b=c", "FROM_HERE": SECRET, "EMPTY": ""},
            mounts=("a:/a:ro", "b:/b"),
            volumes=("c:/c:ro",),
            publish=("web:3000", "8080"),
            interactive=True,
            image="img",
            runtime="docker",
            sandbox=False,
            docker="dind",
            policy="strict",
            allow_hosts=("x.test", "y.test"),
            profile="work",
            keep=True,
            connect_to=("a:443:127.0.0.1:8443",),
            upstream_ca=str(tmp_path / "ca.pem"),
            accept_config=True,
        )
    ]


def test_the_profile_may_come_from_the_environment(moat, asked, monkeypatch):
    monkeypatch.setenv("MOAT_PROFILE", "work")
    assert moat("run") == 0
    assert asked[0].profile == "work"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["a", "b"], "takes one PATH"),
        ([".", "sh", "-c", "x"], "goes after --"),
        ([".", "sh", "x"], "goes after --"),
        (["--"], "no command after --"),
        (["--json"], "needs --detach"),
        (["--policy", "open"], "'strict'"),
        (["-e", f"={SECRET}"], "has no name"),
        (["-e", "NOT_SET_ANYWHERE"], "no such variable"),
    ],
)
def test_usage_errors(argv, says, moat, asked, capsys):
    assert moat("run", *argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert SECRET not in err
    assert len(err.splitlines()) <= 3
    assert asked == []


@pytest.mark.parametrize("code", [0, 1, 3, 125, 137, 255])
def test_the_exit_code_is_the_agents(code, moat, fake):
    async def run_attached(home, request, io, notice):
        return info(exit_code=code)

    fake("run_attached", run_attached)
    assert moat("run") == code


@pytest.mark.parametrize(
    ("outcome", "code", "says"),
    [
        (
            {"state": engine.RunState.FAILED, "exit_code": None, "error": "no such image"},
            125,
            "error: no such image",
        ),
        ({"exit_code": None}, 125, "without an exit code"),
        ({"state": engine.RunState.STOPPED, "exit_code": None}, 130, "stopped before its agent started"),
        ({"state": engine.RunState.STOPPED, "exit_code": 143}, 143, ""),
    ],
)
def test_how_a_run_can_end(outcome, code, says, moat, fake, capsys):
    async def run_attached(home, request, io, notice):
        return info(**outcome)

    fake("run_attached", run_attached)
    assert moat("run") == code
    assert says in capsys.readouterr().err


def test_the_agents_bytes_pass_exactly_and_moat_speaks_on_stderr_only(moat, fake, capfdbinary):
    every = bytes(range(256)) * 300

    async def run_attached(home, request, io, notice):
        notice("starting\x1b[2J")
        io.stdout(every)
        io.stderr(b"\x00\xff no line end")
        return info()

    fake("run_attached", run_attached)
    assert moat("run") == 0
    out, err = capfdbinary.readouterr()
    assert out == every
    assert err == b"moat: starting\\x1b[2J\n\x00\xff no line end"


def test_detach_prints_the_id_and_how_to_follow(moat, asked, capsys):
    assert moat("run", "-d", "--", "sleep", "9") == 0
    out, err = capsys.readouterr()
    assert out == "run_bbbbbbbbbbbb\n"
    assert "moat logs -f run_bbbbbbbbbbbb" in err
    assert asked[0].command == ("sleep", "9")


def test_detach_as_json(moat, asked, capsys):
    assert moat("run", "-d", "--json") == 0
    assert msgspec.json.decode(capsys.readouterr().out)["id"] == "run_bbbbbbbbbbbb"


def test_a_detached_run_that_failed_at_once(moat, fake, capsys):
    async def start_detached(home, request, timeout=60, notice=print):
        return info(state=engine.RunState.FAILED, exit_code=None, error="no such image")

    fake("start_detached", start_detached)
    assert moat("run", "-d") == 125
    assert "moat: error: no such image\n" in capsys.readouterr().err


def test_without_a_person_wider_wishes_are_refused_naming_the_flag(moat, fake, capsys):
    async def run_attached(home, request, io, notice):
        raise engine.ApprovalNeeded("agent.yaml asks for more", asks=("grant github",))

    fake("run_attached", run_attached)
    assert moat("run") == 125
    err = capsys.readouterr().err
    assert err.splitlines()[:2] == ["moat: error: agent.yaml asks for more", "moat: grant github"]
    assert "--accept-config" in err


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 125)])
@pytest.mark.parametrize("flags", [[], ["-d"]])
def test_a_person_is_asked_about_wider_wishes(flags, answer, code, moat, fake, capsys, monkeypatch):
    accepted: list[tuple[str, ...]] = []
    asks = ("grant git\x1bhub", "mount /etc")

    async def act(home, request, *rest, **more):
        assert not request.accept_config
        accepted.append(request.accepted)
        if request.accepted != asks:
            raise engine.ApprovalNeeded("agent.yaml asks for more", asks=asks)
        return info()

    fake("run_attached", act)
    fake("start_detached", act)
    monkeypatch.setattr(run_module, "person_there", lambda: True)
    monkeypatch.setattr(run_module, "confirm", lambda question: answer)
    assert moat("run", *flags) == code
    assert accepted == [(), asks][: 1 + answer]
    err = capsys.readouterr().err
    assert "moat:   grant git\\x1bhub\nmoat:   mount /etc\n" in err


BYTES = """
import os
async def run_attached(home, request, io, notice):
    notice("hello")
    for _ in range(40): io.stdout(bytes(range(256)) * 256)
    io.stderr(b"err\\xff")
    return engine.RunInfo(id="run_1", name="n", created_at="", state=engine.RunState.EXITED, exit_code=7)
engine.run_attached = run_attached
"""


def test_as_a_process_the_streams_are_exact_and_apart(start):
    process = start("run", "--", "true", prelude=BYTES)
    out, err = process.communicate(timeout=30)
    assert out == bytes(range(256)) * 256 * 40
    assert err == b"moat: hello\nerr\xff"
    assert process.returncode == 7


def test_a_non_blocking_stdout_loses_nothing(start):
    read, write = os.pipe()
    os.set_blocking(write, False)
    process = start("run", prelude=BYTES, stdout=write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == bytes(range(256)) * 256 * 40
    assert process.wait(timeout=30) == 7
    assert process.stderr.read() == b"moat: hello\nerr\xff"


UNTIL_STOPPED = """
import asyncio, signal
async def run_attached(home, request, io, notice):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    while not stop.is_set():
        await asyncio.to_thread(io.stdout, b"y\\n" * 5000)
        await asyncio.sleep(0)
    await asyncio.to_thread(io.stdout, b"more")
    return engine.RunInfo(id="run_1", name="n", created_at="", state=engine.RunState.STOPPED, exit_code=143)
engine.run_attached = run_attached
"""


def test_when_the_reader_leaves_the_run_is_stopped_without_a_traceback(start):
    process = start("run", prelude=UNTIL_STOPPED)
    assert process.stdout.read(2) == b"y\n"
    process.stdout.close()
    assert process.wait(timeout=30) == 143
    assert process.stderr.read() == b""


def test_a_full_disk_under_stdout_is_said(start):
    with open("/dev/full", "wb") as full:
        process = start("run", prelude=UNTIL_STOPPED, stdout=full)
        assert process.wait(timeout=30) == 125
    err = process.stderr.read()
    assert err.startswith(b"moat: error: standard output could not be written: No space left on device\n")
    assert b"moat logs run_1" in err


def test_a_gone_stderr_does_not_end_the_run(start):
    read, write = os.pipe()
    os.close(read)
    process = start("run", prelude=BYTES, stderr=write)
    os.close(write)
    assert process.communicate(timeout=30)[0] == bytes(range(256)) * 256 * 40
    assert process.returncode == 7


def test_an_interrupt_before_the_engine_listens(start):
    prelude = """
import os, signal
async def run_attached(home, request, io, notice):
    os.kill(os.getpid(), signal.SIGINT)
    import asyncio; await asyncio.sleep(30)
engine.run_attached = run_attached
"""
    process = start("run", prelude=prelude)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 130
