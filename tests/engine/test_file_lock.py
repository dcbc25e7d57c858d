from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from engine.errors import HomeError
from engine.file_lock import awaited_file_lock, file_lock
from engine.home import Home

LATE = HomeError("it took too long")
HOLDER = """
import sys
from pathlib import Path
from engine.errors import HomeError
from engine.file_lock import file_lock
from engine.home import Home
home = Home(Path(sys.argv[1]))
with file_lock(home, home.root / "lock", 1, HomeError("")):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def test_one_at_a_time_and_the_next_is_waited_for(home):
    order = []

    def second():
        with file_lock(home, home.root / "lock", 30, LATE):
            order.append("second")

    with file_lock(home, home.root / "lock", 0, LATE):
        thread = threading.Thread(target=second)
        thread.start()
        with pytest.raises(HomeError, match="too long"), file_lock(home, home.root / "lock", 0.05, LATE):
            pass
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
    assert (home.root / "lock").stat().st_mode & 0o777 == 0o600


def test_it_dies_with_its_holder(home):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(HomeError, match="too long"), file_lock(home, home.root / "lock", 0, LATE):
            pass
        holder.kill()
    with file_lock(home, home.root / "lock", 0, LATE):
        pass


def test_a_lock_that_is_a_link_is_refused(home, tmp_path):
    home.ensure_dir(home.root)
    (home.root / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError, match="symbolic link"), file_lock(home, home.root / "lock", 0, LATE):
        pass
    assert not (tmp_path / "elsewhere").exists()


async def test_one_that_is_awaited_says_so_and_can_be_given_up(home):
    told = asyncio.Event()

    async def second(patience):
        async with awaited_file_lock(home, home.root / "lock", patience, LATE, told.set):
            return "held"

    with file_lock(home, home.root / "lock", 0, LATE):
        with pytest.raises(HomeError, match="too long"):
            await second(0.05)
        assert told.is_set()
        told.clear()
        given_up = asyncio.ensure_future(second(30))
        await asyncio.wait_for(told.wait(), 20)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        waiting = asyncio.ensure_future(second(30))
        await asyncio.sleep(0)
    assert await waiting == "held"
    assert await second(0) == "held"
