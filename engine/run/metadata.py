"""One run's `metadata.json` and the lock that says whether its supervisor is alive.

The lock is the kernel's (flock), so it is free the instant the supervisor dies, however it dies, and a
reused process id can never be taken for a living supervisor.
"""

from __future__ import annotations

import fcntl
import os

import msgspec

from engine.errors import HomeError
from engine.events import RunInfo, RunState, timestamp
from engine.home import Home

METADATA = "metadata.json"
LOCK = "supervisor.lock"


def write_metadata(home: Home, info: RunInfo) -> None:
    home.write(home.run(info.id) / METADATA, msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n")


def read_metadata(home: Home, run_id: str) -> RunInfo:
    """The run as its supervisor last wrote it; a damaged file is shown as a failed run, not hidden."""
    path = home.run(run_id) / METADATA
    try:
        info = msgspec.json.decode(home.read(path), type=RunInfo)
    except FileNotFoundError:
        if supervisor_alive(home, run_id):  # it was born a moment ago
            return RunInfo(id=run_id, name=run_id, created_at=timestamp())
        return _unreadable(run_id, f"{path} is missing")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, HomeError) as error:
        return _unreadable(run_id, f"{path} cannot be read: {error}")
    if info.id != run_id:
        return _unreadable(run_id, f"{path} belongs to another run ({info.id})")
    return info


def _unreadable(run_id: str, why: str) -> RunInfo:
    return RunInfo(id=run_id, name=run_id, created_at="", state=RunState.FAILED, error=why)


class SupervisorLock:
    """Held by a run's supervisor from before its metadata exists until it ends."""

    def __init__(self, home: Home, run_id: str) -> None:
        self._fd = home.open_private(home.run(run_id) / LOCK, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise HomeError(f"run {run_id} already has a supervisor") from error

    def release(self) -> None:
        os.close(self._fd)


def try_lock(home: Home, run_id: str) -> SupervisorLock | None:
    """The lock of a run whose supervisor is gone, so that exactly one reaper closes it; else None."""
    try:
        return SupervisorLock(home, run_id)
    except HomeError:
        return None


def supervisor_alive(home: Home, run_id: str) -> bool:
    """Whether somebody holds the run's lock. A run without a lock file has no supervisor.

    A lock that cannot be looked at counts as held: nothing of a run is taken away on a guess.
    """
    try:
        fd = home.open_private(home.run(run_id) / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except HomeError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
