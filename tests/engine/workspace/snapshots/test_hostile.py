"""An agent is at work in the workspace while a snapshot is made or put back, and tries to lead it out."""

from __future__ import annotations

import os
import shutil
import socket
import threading

import pytest

from engine.workspace.listing import UNREADABLE
from engine.workspace.snapshots import restore as restoring
from engine.workspace.snapshots import take as taking
from engine.workspace.snapshots.restore import plan
from engine.workspace.snapshots.take import DEVICES

NEEDLE = "needle-of-the-host"


@pytest.fixture
def outside(tmp_path):
    place = tmp_path / "outside"
    place.mkdir()
    (place / "file").write_text(NEEDLE)
    return place


def test_links_are_taken_as_links(kept, outside, tmp_path):
    (kept.path / "file").symlink_to(outside / "file")
    (kept.path / "folder").symlink_to(outside)

    taken = kept.take()

    assert {entry.kind for entry in taken.table.entries} == {"link"}
    assert all(NEEDLE.encode() not in path.read_bytes() for path in (tmp_path / "objects").rglob("??*/*"))


def test_a_name_that_becomes_a_link_between_listing_and_reading(kept, outside, monkeypatch):
    kept.write("folder/file", "mine")
    listed = taking.list_tree

    def swapped(*words, **more):
        found = listed(*words, **more)
        shutil.rmtree(kept.path / "folder")
        (kept.path / "folder").symlink_to(outside)
        return found

    monkeypatch.setattr(taking, "list_tree", swapped)
    taken = kept.take()

    assert b"folder/file" in taken.table.left
    assert [item.why for item in taken.left_out] == [UNREADABLE]


def test_a_folder_that_became_a_link_is_not_written_through(kept, outside):
    kept.write("folder/file", "mine")
    kept.write("folder/other", "mine")
    taken = kept.take()
    shutil.rmtree(kept.path / "folder")
    (kept.path / "folder").symlink_to(outside)

    kept.put(taken.table)

    assert (kept.path / "folder").is_dir()
    assert not (kept.path / "folder").is_symlink()
    assert (kept.path / "folder/file").read_text() == "mine"
    assert (outside / "file").read_text() == NEEDLE
    assert os.listdir(outside) == ["file"]


@pytest.mark.parametrize("step", ["_delete", "_put"])
def test_a_folder_that_is_swapped_for_a_link_while_it_is_put_back(kept, outside, monkeypatch, step):
    """Whichever moment the agent takes: nothing is written, or deleted, outside."""
    kept.write("a/file", "mine")
    kept.write("b/file", "mine")
    taken = kept.take()
    kept.write("a/file", "changed")
    kept.write("b/file", "changed")
    kept.write("a/new", "new")
    kept.write("b/new", "new")
    steps = plan(taken.table, kept.take().table)
    really = getattr(restoring._Restoring, step)

    def swap(self, folder, entry):
        for name in ("a", "b"):
            if not (kept.path / name).is_symlink():
                os.rename(kept.path / name, kept.path / f"moved-{name}")
                (kept.path / name).symlink_to(outside)
        return really(self, folder, entry)

    monkeypatch.setattr(restoring._Restoring, step, swap)
    done = restoring.restore(kept.root, steps, kept.blobs)

    assert done.failed > 0
    assert os.listdir(outside) == ["file"]
    assert (outside / "file").read_text() == NEEDLE


def test_a_race_of_swaps_leads_nowhere(kept, outside):
    for number in range(30):
        kept.write(f"folder/{number}", "mine")
    taken = kept.take()
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            try:
                os.rename(kept.path / "folder", kept.path / "real")
                os.symlink(outside, kept.path / "folder")
                os.unlink(kept.path / "folder")
                os.rename(kept.path / "real", kept.path / "folder")
            except OSError:
                pass

    agent = threading.Thread(target=swap)
    agent.start()
    try:
        for _ in range(15):
            shutil.rmtree(kept.path / "folder", ignore_errors=True)
            kept.put(taken.table)
            again = kept.take()
            assert not any(entry.size == len(NEEDLE) for entry in again.table.entries)
    finally:
        stop.set()
        agent.join()
    assert os.listdir(outside) == ["file"]
    assert (outside / "file").read_text() == NEEDLE


def test_a_hard_link_is_not_written_through(kept, outside):
    os.link(outside / "file", kept.path / "linked")
    taken = kept.take()
    (kept.path / "linked").write_text("changed by the agent")
    (outside / "file").chmod(0o600)

    kept.put(taken.table)

    assert (kept.path / "linked").read_text() == NEEDLE
    assert (outside / "file").read_text() == "changed by the agent", "what lies outside is nobody's to mend"
    assert (kept.path / "linked").stat().st_nlink == 1


def test_pipes_sockets_and_what_cannot_be_read_are_said_and_stay(kept, monkeypatch):
    os.mkfifo(kept.path / "pipe")
    kept.write("locked/file", "x")
    monkeypatch.chdir(kept.path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("sock")
        really = taking.open_file

        def refused(folder, name):
            if name == "file":
                raise PermissionError(13, "Permission denied")
            return really(folder, name)

        monkeypatch.setattr(taking, "open_file", refused)  # root may read everything
        taken = kept.take()

        assert {item.why: item.count for item in taken.left_out} == {DEVICES: 2, UNREADABLE: 1}
        done = kept.put(taken.table, taken)
        assert sorted(os.listdir(kept.path)) == ["locked", "pipe", "sock"]
        assert done.failed == 0
    assert (kept.path / "locked/file").read_text() == "x"


def test_a_folder_that_holds_something_not_taken_is_not_removed(kept):
    taken = kept.take()
    (kept.path / "new").mkdir()
    os.mkfifo(kept.path / "new/pipe")
    kept.write("new/file", "x")

    done = kept.put(taken.table)

    assert os.listdir(kept.path / "new") == ["pipe"]
    assert done.failed == 0


def test_no_set_user_id_bit_comes_back(kept):
    kept.write("tool", "x", mode=0o6755)
    taken = kept.take()
    (kept.path / "tool").unlink()

    kept.put(taken.table)

    assert (kept.path / "tool").stat().st_mode & 0o7777 == 0o755
