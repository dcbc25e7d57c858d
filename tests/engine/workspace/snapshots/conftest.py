"""A workspace with a shelf for its snapshots, and what a tree holds, to compare with."""

from __future__ import annotations

import os
import stat
import time

import pytest

from engine.workspace.folders import open_root
from engine.workspace.snapshots.blobs import Blobs
from engine.workspace.snapshots.restore import plan, restore
from engine.workspace.snapshots.take import ASKED, take


def tree(root):
    """{path: (kind, mode, content)} of everything below, without following a link."""
    found = {}
    top = os.fsencode(root)
    for folder, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            relative = os.path.relpath(path, top)
            if stat.S_ISLNK(status.st_mode):
                found[relative] = ("link", os.readlink(path))
            elif stat.S_ISDIR(status.st_mode):
                found[relative] = ("folder", stat.S_IMODE(status.st_mode))
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    found[relative] = ("file", stat.S_IMODE(status.st_mode), file.read())
    return found


class Kept:
    """Takes and puts back without the disk's shelf; `blobs` outlives the snapshots."""

    def __init__(self, root, objects):
        self.path = root
        self.root = open_root(str(root))
        self.objects = open_root(str(objects))
        self.blobs = Blobs(self.objects)

    def take(self, limits=ASKED, known=None, since=0):
        return take(self.root, self.blobs, limits, known, since)

    def put(self, table, now=None):
        return restore(self.root, plan(table, (now or self.take()).table), self.blobs)

    def write(self, name, data="", mode=None):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        if mode is not None:
            path.chmod(mode)
        return path

    def settled(self):
        """A time at which what lies there now counts as settled."""
        return time.time_ns() + 120 * 1_000_000_000

    def close(self):
        os.close(self.root)
        os.close(self.objects)


@pytest.fixture
def kept(tmp_path):
    (tmp_path / "ws").mkdir()
    (tmp_path / "objects").mkdir()
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    made = Kept(tmp_path / "ws", tmp_path / "objects")
    yield made
    made.close()
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before, "a descriptor was left open"


@pytest.fixture
def tree_of():
    return tree
