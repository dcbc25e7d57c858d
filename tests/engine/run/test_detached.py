"""A supervisor in its own process: news, deaths, patience. A script plays the supervisor."""

import asyncio
import contextlib
import os
import signal
import sys
import time

import pytest

from engine.errors import ApprovalNeeded, RunStateError, UsageError
from engine.events import RunInfo
from engine.home import Home
from engine.run import detached
from engine.run.metadata import write_metadata
from engine.run.request import RunRequest

RUN = "run_0123456789ab"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.ensure_dir(home.run(RUN))
    write_metadata(home, RunInfo(id=RUN, name="n", created_at="2026-01-01T00:00:00Z"))
    return home


@pytest.fixture
def child(monkeypatch, tmp_path):
    """Replaces what the supervisor's process does by `script`; its process group is killed at the end."""
    started = []
    real = detached.subprocess.Popen

    def fake(script):
        def popen(args, **options):
            started.append(real([sys.executable, "-c", script, str(tmp_path)], **options))
            return started[-1]

        monkeypatch.setattr(detached.subprocess, "Popen", popen)
        return started

    yield fake
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


async def test_news_is_the_run(home, child):
    child(f"""import sys; sys.stdin.read(); print('{{"run_id": "{RUN}"}}')""")
    assert (await detached.spawn(home, RunRequest(), 20)).id == RUN


async def test_every_notice_is_told_and_renews_the_patience(home, child):
    child(f"""import sys, time; sys.stdin.read()
for line in ("step 1", "step 2"):
    print('{{"notice": "' + line + '"}}', flush=True); time.sleep(1.5)
print('{{"run_id": "{RUN}"}}')""")
    told = []
    assert (await detached.spawn(home, RunRequest(), 2.5, told.append)).id == RUN
    assert told == ["step 1", "step 2"]


async def test_the_child_dies_before_news_and_before_the_order(home, child):
    child("import os; os._exit(3)")
    request = RunRequest(env={"BIG": "x" * 1_000_000})  # more than a pipe holds: the writing itself breaks
    with pytest.raises(RunStateError, match="died while starting"):
        await detached.spawn(home, request, 20)


@pytest.mark.parametrize("news", ["nonsense", '{"run_id": 3}', ""])
async def test_news_that_is_none(home, child, news):
    child(f"import sys; sys.stdin.read(); print({news!r})")
    with pytest.raises(RunStateError, match="died while starting"):
        await detached.spawn(home, RunRequest(), 20)


async def test_the_supervisors_error_is_raised_here(home, tmp_path_factory):
    workspace = tmp_path_factory.mktemp("ws")
    with pytest.raises(UsageError, match="unknown policy"):
        await detached.spawn(home, RunRequest(workspace=str(workspace), policy="x", command=("y",)), 30)


async def test_approval_crosses_with_what_it_asks(home, child):
    child(
        """import sys; sys.stdin.read()
print('{"error": "ApprovalNeeded", "what": "more", "asks": ["grant github"], "remedy": "r"}')"""
    )
    with pytest.raises(ApprovalNeeded) as caught:
        await detached.spawn(home, RunRequest(), 20)
    assert caught.value.asks == ("grant github",)


# Says that it is there; at TERM says so and ends, as a supervisor does.
PATIENT = """
import signal, sys, time
from pathlib import Path
here = Path(sys.argv[1])
def end(*_):
    (here / 'termed').touch(); sys.exit()
signal.signal(signal.SIGTERM, {handler})
(here / 'up').touch()
while True: time.sleep(60)
"""


async def test_without_news_in_time_the_supervisor_is_ended(home, child, tmp_path):
    (started := child(PATIENT.format(handler="end")))
    spawning = asyncio.ensure_future(detached.spawn(home, RunRequest(), 3))
    with pytest.raises(RunStateError, match="did not start within"):
        await spawning
    assert (tmp_path / "termed").exists()
    assert started[0].returncode is not None  # no zombie


async def test_a_supervisor_that_will_not_end_is_killed(home, child, tmp_path, monkeypatch):
    monkeypatch.setattr(detached, "_GIVE_UP", 0.3)
    started = child(PATIENT.format(handler="signal.SIG_IGN"))
    with pytest.raises(RunStateError):
        await detached.spawn(home, RunRequest(), 2)
    assert started[0].returncode == -signal.SIGKILL


async def test_a_cancelled_start_ends_the_supervisor(home, child, tmp_path):
    child(PATIENT.format(handler="end"))
    spawning = asyncio.ensure_future(detached.spawn(home, RunRequest(), 60))
    deadline = time.monotonic() + 20
    while not (tmp_path / "up").exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    spawning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await spawning
    assert (tmp_path / "termed").exists()


async def test_the_child_has_no_descriptor_directory_or_session_of_ours(home, child, tmp_path):
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)  # as a careless caller's
    child(
        f"""import os, sys; sys.stdin.read()
open(sys.argv[1] + '/saw', 'w').write(f"{{os.getcwd()}} {{os.getsid(0) == os.getpid()}}")
print('{{"run_id": "{RUN}"}}')"""
    )
    await detached.spawn(home, RunRequest(), 20)
    assert (tmp_path / "saw").read_text() == "/ True"
    os.close(writer)
    assert os.read(reader, 1) == b""  # nobody holds its other end
    os.close(reader)
