import os
import subprocess
import sys

import pytest

from engine.errors import HomeError
from engine.events import RunInfo, RunState
from engine.home import Home
from engine.run.metadata import (
    METADATA,
    SupervisorLock,
    read_metadata,
    supervisor_alive,
    try_lock,
    write_metadata,
)
from engine.run.reading.library import find_run, list_runs

RUN = "run_0123456789ab"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.ensure_dir(home.run(RUN))
    return home


def test_what_is_written_is_read(home):
    info = RunInfo(id=RUN, name="calm-otter", created_at="2026-01-01T00:00:00Z", state=RunState.RUNNING)
    write_metadata(home, info)
    assert read_metadata(home, RUN) == info
    assert (home.run(RUN) / METADATA).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"x":' + b"[" * 100_000,
        b'{"id": "run_other", "name": "x", "created_at": ""}',
    ],
)
def test_damaged_metadata_is_a_failed_run_that_says_why(home, damage):
    (home.run(RUN) / METADATA).write_bytes(damage)
    info = read_metadata(home, RUN)
    assert info.state is RunState.FAILED
    assert METADATA in info.error
    assert [run.id for run in list_runs(home)] == [RUN]


def test_the_lock_is_free_the_moment_its_process_is_killed(home):
    assert not supervisor_alive(home, RUN)
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom engine.home import Home\n"
        "from engine.run.metadata import SupervisorLock\n"
        "lock = SupervisorLock(Home(Path(sys.argv[1])), sys.argv[2])\n"
        "print('held', flush=True)\ntime.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, home.root, RUN], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"held\n"
    assert supervisor_alive(home, RUN)
    assert try_lock(home, RUN) is None
    child.kill()
    child.wait()
    child.stdout.close()
    assert not supervisor_alive(home, RUN)
    lock = try_lock(home, RUN)
    assert lock is not None
    with pytest.raises(HomeError, match="already has a supervisor"):
        SupervisorLock(home, RUN)
    lock.release()


def test_runs_are_found_by_id_prefix_name_or_latest(home):
    from engine.errors import RunNotFound

    for run_id, name, when in (
        ("run_aaaa00000001", "one", "2026-01-01T00:00:01Z"),
        ("run_aaab00000002", "two", "2026-01-01T00:00:02Z"),
        ("run_bbbb00000003", "one", "2026-01-01T00:00:03Z"),
    ):
        write_metadata(home, RunInfo(id=run_id, name=name, created_at=when))
    os.rmdir(home.run(RUN))
    assert find_run(home).id == "run_bbbb00000003"
    assert find_run(home, "one").id == "run_bbbb00000003"
    assert find_run(home, "aaab").id == find_run(home, "run_aaab").id == "run_aaab00000002"
    with pytest.raises(RunNotFound, match="2 runs start with"):
        find_run(home, "aaa")
    with pytest.raises(RunNotFound, match="'nothing'"):
        find_run(home, "nothing")
    with pytest.raises(RunNotFound):
        find_run(home, "../../etc")


def test_no_runs_yet_says_how_to_start_one(tmp_path):
    from engine.errors import RunNotFound

    with pytest.raises(RunNotFound, match="there are no runs yet") as raised:
        find_run(Home(tmp_path / "none"))
    assert "moat run" in raised.value.remedy


@pytest.mark.parametrize("run_id", ["../x", "run_/../..", "", "run\x00", "run_é"])
def test_a_run_id_cannot_leave_the_runs_directory(home, run_id):
    with pytest.raises(HomeError):
        home.run(run_id)


def test_threat_33_a_symlinked_run_directory_is_refused(home, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (home.runs / "run_ffffffffffff").symlink_to(elsewhere)
    with pytest.raises(HomeError, match="symbolic link"):
        write_metadata(home, RunInfo(id="run_ffffffffffff", name="x", created_at=""))
    assert list(elsewhere.iterdir()) == []
