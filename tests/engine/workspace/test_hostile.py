"""A workspace is the agent's: links, pipes, names and trees made to mislead whoever looks at them."""

from __future__ import annotations

import os
import socket

import pytest

from engine.workspace import first_look, listing
from engine.workspace.folders import DEEPEST, Folders, open_root, read_file
from engine.workspace.listing import DEEP, LATE, MANY
from engine.workspace.record import ADDED, CHANGED, DELETED

NEEDLE = "needle-of-the-host"


def test_a_file_that_becomes_a_link_is_not_followed(workspace, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text(NEEDLE)
    workspace.write("a.txt", "a\n")
    workspace.write("inside/b.txt", "b\n")
    workspace.look()
    (workspace.root / "a.txt").unlink()
    (workspace.root / "a.txt").symlink_to(outside)
    (workspace.root / "near").symlink_to("inside/b.txt")

    record = workspace.record()
    found = {change.path: change for change in record.changes}

    assert NEEDLE not in repr(record)
    assert (found["a.txt"].after.kind, found["a.txt"].after.leads_out) == ("link", True)
    assert found["a.txt"].diff == "@@ -1 +0,0 @@\n-a\n"
    assert (found["near"].after.target, found["near"].after.leads_out) == ("inside/b.txt", False)


def test_a_folder_that_becomes_a_link_is_not_gone_into(workspace, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.txt").write_text(NEEDLE)
    workspace.write("folder/b.txt", "b\n")
    workspace.look()
    (workspace.root / "folder" / "b.txt").unlink()
    (workspace.root / "folder").rmdir()
    (workspace.root / "folder").symlink_to(tmp_path / "elsewhere")

    record = workspace.record()

    assert NEEDLE not in repr(record)
    assert {change.path: change.change for change in record.changes} == {
        "folder": ADDED, "folder/b.txt": DELETED,
    }  # fmt: skip


def test_a_name_that_is_swapped_between_two_looks_at_it(workspace, tmp_path):
    """What was listed as a file or folder is a link by the time it is opened."""
    workspace.write("folder/file", "x")
    (tmp_path / "outside").write_text(NEEDLE)
    root = open_root(str(workspace.root))
    try:
        with Folders(root) as folders:
            folder = folders.open("folder")
            (workspace.root / "folder/file").unlink()
            (workspace.root / "folder/file").symlink_to(tmp_path / "outside")
            with pytest.raises(OSError):  # noqa: PT011 - ELOOP or EMLINK, as the system likes
                read_file(folder, "file", 100)
            (workspace.root / "link").symlink_to(tmp_path)
            with pytest.raises(OSError):  # noqa: PT011
                folders.open("link")
    finally:
        os.close(root)


def test_pipes_and_sockets_are_named_and_not_opened(workspace, monkeypatch):
    workspace.look()
    os.mkfifo(workspace.root / "pipe")
    monkeypatch.chdir(workspace.root)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("sock")
        found = workspace.changes()

    assert {change.after.kind for change in found.values()} == {"special"}
    assert workspace.record().after.special == 2


def test_a_pipe_in_a_files_place_is_not_waited_for(workspace):
    os.mkfifo(workspace.root / "pipe")
    root = open_root(str(workspace.root))
    try:
        with pytest.raises(OSError, match="regular"):
            read_file(root, "pipe", 100)
    finally:
        os.close(root)


def test_names_that_are_no_text(workspace):
    workspace.look()
    folder = os.fsencode(workspace.root)
    for name in (b"latin-\xe9", b"line\nbreak", b"\x1b]0;title\x07", "\u202egnp.exe".encode(), b"\\xe9"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"x\n")

    record = workspace.record()
    by_hex = {change.path_hex: change.path for change in record.changes if change.path_hex}

    assert by_hex == {b"latin-\xe9".hex(): "latin-\\xe9"}
    assert {change.path for change in record.changes} >= {"line\nbreak", "\x1b]0;title\x07", "\\xe9"}


def test_a_huge_file_is_not_read(workspace):
    workspace.look()
    with open(workspace.root / "sparse", "wb") as file:
        file.truncate(1 << 40)

    change = workspace.changes()["sparse"]

    assert (change.after.size, change.after.sha256, change.diff) == (1 << 40, "", "")


def test_a_tree_that_is_deeper_than_any(workspace):
    workspace.look()
    here = os.open(workspace.root, os.O_RDONLY)
    for _ in range(DEEPEST + 200):  # longer than a path may be
        os.mkdir("a" * 30, dir_fd=here)
        below = os.open("a" * 30, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)

    record = workspace.record()

    assert [(left.why, left.count) for left in record.after.left_out] == [(DEEP, 1)]


def test_what_is_known_is_found_among_any_number_of_new_files(workspace, monkeypatch):
    monkeypatch.setattr(listing, "MOST", 40)
    monkeypatch.setattr(listing, "MOST_IN_FOLDER", 25)
    monkeypatch.setattr(listing, "_MOST_READ", 60)
    workspace.write("zz/known.txt", "old\n")
    workspace.write("zz/gone.txt", "old\n")
    workspace.write(".git/hooks/pre-push.sample", "x\n")
    workspace.look()
    for number in range(100):
        workspace.write(f"aa{number}/flood.txt", "")
        workspace.write(f"zz/a{number}.txt", "")
    workspace.write("zz/known.txt", "new\n")
    (workspace.root / "zz/gone.txt").unlink()
    workspace.write(".git/hooks/post-checkout", "evil\n")

    record = workspace.record()
    found = {change.path: change.change for change in record.changes}

    assert found["zz/known.txt"] == CHANGED
    assert found["zz/gone.txt"] == DELETED
    assert found[".git/hooks/post-checkout"] == ADDED
    assert [left.why for left in record.after.left_out] == [MANY]


def test_what_the_first_look_left_out_is_not_called_new(workspace, monkeypatch):
    monkeypatch.setattr(listing, "MOST_IN_FOLDER", 2)
    for name in "abcd":
        workspace.write(f"{name}.txt", "x\n")
    workspace.look()
    monkeypatch.setattr(listing, "MOST_IN_FOLDER", 100)

    record = workspace.record()

    assert record.changes == ()
    assert [(left.why, left.count) for left in record.before.left_out] == [(MANY, 1)]


def test_out_of_time_is_said(workspace):
    workspace.write("a/b.txt", "x\n")
    workspace.look(budget=-1)
    workspace.write("a/b.txt", "y\n")

    record = workspace.record()

    assert [(left.why, left.count) for left in record.before.left_out] == [(LATE, 1)]
    assert record.changes == ()


def test_only_so_much_text_is_kept(workspace, monkeypatch):
    monkeypatch.setattr(first_look, "MOST_KEPT", 10)
    workspace.write("a.txt", "12345678")
    workspace.write("b.txt", "12345678")
    workspace.look()
    workspace.write("b.txt", "changed")

    record = workspace.record()

    assert [(left.why, left.paths) for left in record.before.left_out] == [(first_look.FULL, ("b.txt",))]
    assert [(change.path, change.diff) for change in record.changes] == [("b.txt", "")]
