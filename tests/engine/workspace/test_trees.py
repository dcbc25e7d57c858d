"""Trees that an agent made: measured and removed without following anything out of them."""

from __future__ import annotations

import os
import time

import pytest

from engine.workspace import disk_usage, empty_folder, open_root


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_bytes(b"x" * 5_000_000)
    return folder


@pytest.fixture
def tree(tmp_path, outside):
    """Links out of it, names that are no text, folders that nobody may enter, a pipe, a very deep path."""
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").write_bytes(b"y" * 100_000)
    (tree / "a" / "link").symlink_to(outside)
    (tree / "link").symlink_to(outside / "precious")
    (tree / "loop").symlink_to(tree)
    os.mkdir(os.fsencode(tree) + b"/\xff\n")
    os.mkfifo(tree / "pipe")
    os.link(outside / "precious", tree / "hard")
    here = os.open(tree, os.O_RDONLY)
    for _ in range(1500):  # longer than any path may be, deeper than Python would recurse
        os.mkdir("deep", dir_fd=here)
        inner = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    os.chmod(tree / "a" / "b", 0)
    os.chmod(tree / "a", 0)
    return tree


def test_everything_in_it_goes_and_nothing_beyond(tree, outside):
    folder = open_root(str(tree))
    try:
        empty_folder(folder)
    finally:
        os.close(folder)
    assert os.listdir(tree) == []
    assert (outside / "precious").stat().st_size == 5_000_000


def test_its_size_is_its_own_and_bounded(tree):
    os.chmod(tree / "a", 0o700)
    os.chmod(tree / "a" / "b", 0o700)
    (tree / "hard").unlink()
    folder = open_root(str(tree))
    try:
        usage = disk_usage(folder, time.monotonic() + 20)
        assert 100_000 <= usage.size < 5_000_000
        assert not usage.whole  # it is too deep
        assert not disk_usage(folder, time.monotonic() - 1).whole
        empty_folder(folder)
        assert disk_usage(folder, time.monotonic() + 20).whole
    finally:
        os.close(folder)
