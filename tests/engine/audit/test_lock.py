from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from engine.audit.lock import WriterLock, lock_path, no_writer
from engine.errors import AuditError
from engine.home import Home


def test_one_at_a_time(home: Home, path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.audit.lock.PATIENCE", 0.0)
    lock = WriterLock(home, path)
    with pytest.raises(AuditError, match="being written"):
        WriterLock(home, path)
    with no_writer(path) as alone:
        assert not alone
    lock.release()
    lock.release()
    assert not lock_path(path).exists()
    with no_writer(path) as alone:
        assert alone
    WriterLock(home, path).release()


def test_a_lock_on_a_file_that_was_just_unlinked_does_not_count(
    home: Home, path: Path, monkeypatch: pytest.MonkeyPatch
):
    original, unlinked = fcntl.flock, []

    def flock(fd: int, how: int) -> None:
        if not unlinked:
            os.unlink(lock_path(path))  # the last holder lets go between our open and our lock
            unlinked.append(fd)
        original(fd, how)

    monkeypatch.setattr("engine.audit.lock.fcntl.flock", flock)
    lock = WriterLock(home, path)
    with no_writer(path) as alone:
        assert not alone  # what everybody else finds at that path is locked
    lock.release()
