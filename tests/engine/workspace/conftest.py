"""A workspace, and what the record says of what is done to it."""

from __future__ import annotations

import os

import pytest

from engine.workspace import compare, take_first_look


class Workspace:
    def __init__(self, root, folder):
        self.root = root
        self.folder = folder
        self.first = None

    def write(self, name, data=""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def look(self, **options):
        self.first = take_first_look(self.root, self.folder, **options)
        return self.first

    def record(self, mask=str, **options):
        return compare(self.first, mask, **options)

    def changes(self, **options):
        """{path: change}"""
        record = self.record(**options)
        assert record.added + record.changed + record.deleted == len(record.changes) + record.more
        return {change.path: change for change in record.changes}


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "ws").mkdir()
    (tmp_path / "run").mkdir()
    made = Workspace(tmp_path / "ws", tmp_path / "run")
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    yield made
    if made.first is not None:
        made.first.close()
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == len(before), "a descriptor was left open"
