"""What was taken comes back byte for byte, whatever became of the workspace meanwhile."""

from __future__ import annotations

import os
import shutil

import msgspec
import pytest

from engine.workspace.snapshots import take as taking
from engine.workspace.snapshots.table import Table, decode_table, encode_table
from engine.workspace.snapshots.take import ASKED

ODD = (b"line\nbreak", b"\x1b]0;title\x07", b"latin-\xe9", b" -rf ", b"\xff\xfe")


def fill(kept):
    kept.write("a.txt", "one\n")
    kept.write("tool", "#!/bin/sh\n", mode=0o755)
    kept.write("deep/er/binary", bytes(range(256)) * 9000)
    kept.write(".git/config", "[core]\n")
    kept.write(".git/objects/ab/cdef", b"\x78\x01", mode=0o444)
    kept.write("node_modules/x/index.js", "x\n")
    (kept.path / "empty/inside").mkdir(parents=True)
    (kept.path / "link").symlink_to("a.txt")
    (kept.path / "out").symlink_to("/etc/passwd")
    (kept.path / "locked").mkdir()
    kept.write("locked/file", "kept\n", mode=0o400)
    (kept.path / "locked").chmod(0o555)
    for name in ODD:
        with open(os.path.join(os.fsencode(kept.path), name), "wb") as file:
            file.write(name)


def test_everything_comes_back(kept, tree_of):
    fill(kept)
    before = tree_of(kept.path)
    taken = kept.take()
    assert (taken.left_out, taken.torn) == ((), ())
    (kept.path / "locked").chmod(0o755)
    for name in os.listdir(kept.path):
        path = kept.path / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    kept.write("a.txt/now/a/folder", "x")
    kept.write("new/file", "y")
    (kept.path / "deep").symlink_to("new")

    done = kept.put(taken.table)

    assert tree_of(kept.path) == before
    assert (done.failed, done.left_out) == (0, ())


def test_putting_back_what_is_there_changes_nothing(kept):
    fill(kept)
    taken = kept.take()
    inode = (kept.path / "a.txt").stat().st_ino

    done = kept.put(taken.table)

    assert (done.written, done.deleted, done.failed) == (0, 0, 0)
    assert (kept.path / "a.txt").stat().st_ino == inode


def test_the_second_snapshot_keeps_and_reads_only_what_changed(kept, monkeypatch):
    fill(kept)
    first = kept.take()
    kept.write("a.txt", "two\n")
    kept.blobs.stored = 0
    opened = []
    really = taking.open_file
    monkeypatch.setattr(taking, "open_file", lambda *place: opened.append(place[1]) or really(*place))

    second = kept.take(known=first.table.by_path, since=kept.settled())

    assert opened == ["a.txt"]
    assert kept.blobs.stored == 4
    assert kept.put(first.table).written == 1
    assert (kept.path / "a.txt").read_text() == "one\n"
    assert kept.put(second.table).written == 1


def test_what_was_touched_lately_is_read_again(kept):
    """Its times may not tell of a change that came just after the reading."""
    path = kept.write("a.txt", "one\n")
    first = kept.take()
    entry = msgspec.structs.replace(first.table.by_path[b"a.txt"], digest=b"\0" * 32)

    again = kept.take(known={b"a.txt": entry}, since=path.stat().st_ctime_ns + 10**9)

    assert again.table.by_path[b"a.txt"].digest == first.table.by_path[b"a.txt"].digest


def test_a_kept_content_that_is_gone_is_kept_again(kept):
    kept.write("a.txt", "one\n")
    first = kept.take()
    kept.blobs.sweep(())

    kept.take(known=first.table.by_path, since=kept.settled())

    assert kept.blobs.read(first.table.by_path[b"a.txt"].digest) == b"one\n"


def test_equal_contents_are_kept_once(kept):
    for name in "abc":
        kept.write(name, b"same" * 1_000_000)
    kept.take()

    assert kept.blobs.stored == 4_000_000
    assert not [name for name in os.listdir(kept.objects) if name.startswith(".tmp")]


def test_the_limits_are_said_and_what_they_leave_out_is_left_alone(kept):
    kept.write("big", b"x" * 2000)
    kept.write("later/one", b"1" * 600)
    kept.write("later/two", b"2" * 600)
    kept.write("node_modules/x", b"3" * 600)
    limits = msgspec.structs.replace(ASKED, file=1500, bytes=1300)

    taken = kept.take(limits)

    assert {item.why: item.paths for item in taken.left_out} == {
        "larger than 1 KiB": ("big",),
        "more than 1 KiB that no earlier snapshot has": ("node_modules/x",),
    }
    kept.write("big", "changed")
    kept.write("node_modules/x", "changed")
    kept.write("node_modules/new", "goes")
    done = kept.put(taken.table)
    assert (kept.path / "big").read_text() == (kept.path / "node_modules/x").read_text() == "changed"
    assert not (kept.path / "node_modules/new").exists()
    assert [(item.count, item.paths) for item in done.left_out] == [(2, ("big", "node_modules/x"))]


def test_a_folder_that_was_not_listed_whole_loses_nothing(kept):
    for number in range(6):
        kept.write(f"many/{number}", "x")
    taken = kept.take(msgspec.structs.replace(ASKED, in_folder=3))
    assert taken.table.open == (b"many",)
    kept.write("many/new", "x")
    kept.write("other", "x")

    kept.put(taken.table)

    assert len(os.listdir(kept.path / "many")) == 7
    assert not (kept.path / "other").exists()


def test_a_file_that_changes_while_it_is_read_is_noticed(kept, monkeypatch):
    path = kept.write("log", "line\n")
    keep = kept.blobs.keep

    def written_meanwhile(fd, most):
        with path.open("a") as file:
            file.write("line\n")
        return keep(fd, most)

    monkeypatch.setattr(kept.blobs, "keep", written_meanwhile)
    taken = kept.take()

    assert taken.torn == (b"log",)
    assert taken.table.by_path[b"log"].altered == 0, "it must not be taken for settled next time"


def test_a_damaged_content_is_never_put_back(kept, tmp_path):
    kept.write("a.txt", "one\n")
    taken = kept.take()
    digest = taken.table.by_path[b"a.txt"].digest.hex()
    (tmp_path / "objects" / digest[:2] / digest[2:]).write_bytes(b"evil")
    kept.write("a.txt", "two\n")
    now = kept.take()
    assert now.table.by_path[b"a.txt"].digest.hex() != digest

    done = kept.put(taken.table, now)

    assert done.failed == 1
    assert (kept.path / "a.txt").read_text() == "two\n"
    assert os.listdir(kept.path) == ["a.txt"]


@pytest.mark.parametrize("path", [b"../x", b"a/../../x", b"/etc/passwd", b"", b"a//b", b"a/."])
def test_a_table_that_leads_out_is_none(path):
    entry = taking.Entry(path, "file", 0o644)

    with pytest.raises(ValueError, match="below a workspace"):
        decode_table(encode_table(Table((entry,))))
