"""What was added, changed and deleted, and what is never copied."""

from __future__ import annotations

import hashlib
import os

from engine.workspace import comparison
from engine.workspace.comparison import compare
from engine.workspace.listing import OBJECTS
from engine.workspace.record import ADDED, CHANGED, DELETED

NEEDLE = "needle-5f1c0ffee0badc0de"


def test_added_changed_and_deleted_with_diffs(workspace):
    workspace.write("same.txt", "same\n")
    workspace.write("src/main.py", "one\ntwo\n")
    workspace.write("gone.txt", "bye\n")
    workspace.look()
    workspace.write("src/main.py", "one\n2\n")
    workspace.write("new/deep/file.txt", "hello\n")
    (workspace.root / "gone.txt").unlink()

    found = workspace.changes()

    assert {path: change.change for path, change in found.items()} == {
        "src/main.py": CHANGED, "new/deep/file.txt": ADDED, "gone.txt": DELETED,
    }  # fmt: skip
    assert found["src/main.py"].diff == "@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
    assert found["new/deep/file.txt"].diff == "@@ -0,0 +1 @@\n+hello\n"
    assert found["gone.txt"].diff == "@@ -1 +0,0 @@\n-bye\n"
    assert found["src/main.py"].after.sha256 == hashlib.sha256(b"one\n2\n").hexdigest()


def test_nothing_happened(workspace):
    workspace.write("a", "a\n")
    workspace.write("b/c", "c\n")
    workspace.look()

    record = workspace.record()

    assert (record.changes, record.touched) == ((), 0)
    assert (record.before.files, record.before.kept, record.before.left_out) == (2, 2, ())


def test_a_change_shows_although_its_size_and_time_were_set_back(workspace):
    path = workspace.write("a.txt", "good\n")
    then = path.stat()
    workspace.look()
    workspace.write("a.txt", "evil\n")
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))

    assert workspace.changes()["a.txt"].diff == "@@ -1 +1 @@\n-good\n+evil\n"


def test_written_again_as_it_was_is_counted_and_no_change(workspace):
    path = workspace.write("a.txt", "same\n")
    workspace.look()
    path.unlink()
    workspace.write("a.txt", "same\n")

    record = workspace.record()

    assert (record.changes, record.touched) == ((), 1)


def test_a_file_that_becomes_executable(workspace):
    path = workspace.write("tool", "#!/bin/sh\n")
    path.chmod(0o644)
    workspace.look()
    path.chmod(0o755)

    change = workspace.changes()["tool"]

    assert (change.change, change.before.mode, change.after.mode, change.diff) == (CHANGED, "644", "755", "")


def test_a_secret_by_name_is_told_apart_and_never_copied(workspace):
    workspace.write(".env", f"TOKEN={NEEDLE}\n")
    workspace.write("same.pem", NEEDLE)
    workspace.look()
    assert NEEDLE.encode() not in workspace.first.contents.read(0, 1 << 20)
    workspace.write(".env", f"TOKEN={NEEDLE}2\n")
    workspace.write("same.pem", NEEDLE)
    workspace.write("id_rsa", NEEDLE)

    record = workspace.record()

    assert {change.path for change in record.changes} == {".env", "id_rsa"}
    assert record.touched == 1
    for change in record.changes:
        assert (change.diff, change.after.sha256) == ("", "")
        assert "secret" in change.no_diff
    assert NEEDLE not in repr(record)


def test_what_the_run_hides_is_blotted_out_and_no_hash_lets_it_be_guessed(workspace):
    workspace.write("a.txt", "one\n")
    workspace.write("only.txt", f"{NEEDLE}\n")
    workspace.look()
    workspace.write("a.txt", f"one\n{NEEDLE}\n")
    workspace.write("only.txt", "[REDACTED]\n")
    workspace.write(f"{NEEDLE}.txt", "x\n")
    (workspace.root / "link").symlink_to(f"/{NEEDLE}")
    with open(os.fsencode(workspace.root) + f"/\xe9{NEEDLE}".encode("latin-1"), "w"):
        pass

    record = workspace.record(mask=lambda text: text.replace(NEEDLE, "[REDACTED]"))
    found = {change.path: change for change in record.changes}

    assert NEEDLE not in repr(record)
    assert NEEDLE.encode().hex() not in repr(record)
    assert found["a.txt"].diff.endswith("+[REDACTED]\n")
    assert found["a.txt"].after.sha256 == found["a.txt"].before.sha256 == ""
    assert found["only.txt"].no_diff == comparison.ONLY_HIDDEN
    assert "[REDACTED].txt" in found


def test_passwords_in_gits_settings_are_blotted_out(workspace):
    workspace.write(".git/config", f"[remote]\n\turl = https://me:{NEEDLE}@github.com/x\n")
    workspace.look()
    workspace.write(
        ".git/config",
        f"[remote]\n\turl = https://me:{NEEDLE}@github.com/y\n\textraheader = Authorization: basic {NEEDLE}",
    )

    record = workspace.record()

    assert NEEDLE not in repr(record)
    assert "me:[REDACTED]@github.com/y" in record.changes[0].diff
    assert record.changes[0].after.sha256 == ""


def test_hooks_come_first_and_git_history_is_left_out_and_said(workspace):
    workspace.write(".git/config", "[core]\n")
    workspace.write(".git/objects/ab/cdef", b"\x78\x01\0")
    workspace.look()
    workspace.write("a.txt", "x\n")
    workspace.write(".git/hooks/post-checkout", "#!/bin/sh\nevil\n").chmod(0o755)
    workspace.write(".git/config", "[core]\n\tfsmonitor = evil\n")
    workspace.write(".git/objects/ab/1234", b"\x78\x01\0")

    record = workspace.record()

    assert [change.path for change in record.changes] == [".git/config", ".git/hooks/post-checkout", "a.txt"]
    assert all(change.runs_later for change in record.changes[:2])
    assert [(left.why, left.count) for left in record.after.left_out] == [(OBJECTS, 1)]


def test_binary_and_large_files_have_hashes_and_no_diff(workspace):
    workspace.write("image.png", b"\x89PNG\0")
    workspace.write("big.txt", "x" * 300_000)
    workspace.look()
    workspace.write("image.png", b"\x89PNG\0\0")
    workspace.write("big.txt", "y" * 300_000)
    workspace.write("latin.txt", b"caf\xe9\n")

    found = workspace.changes()

    assert found["image.png"].no_diff == found["latin.txt"].no_diff == comparison.BINARY
    assert found["big.txt"].no_diff == comparison.LARGE
    assert found["big.txt"].after.sha256 == hashlib.sha256(b"y" * 300_000).hexdigest()


def test_packages_are_listed_without_their_content(workspace):
    workspace.write("node_modules/a/index.js", "old\n")
    workspace.look()
    workspace.write("node_modules/a/index.js", "evil\n")

    change = workspace.changes()["node_modules/a/index.js"]

    assert (change.change, change.diff, change.no_diff) == (CHANGED, "", comparison.OTHERS)


def test_only_so_many_changes_are_listed_and_the_rest_is_counted(workspace, monkeypatch):
    monkeypatch.setattr(comparison, "MOST_CHANGES", 3)
    monkeypatch.setattr(comparison, "MOST_DIFFS", 40)
    workspace.look()
    for number in range(8):
        workspace.write(f"f{number}.txt", "a line\n")

    record = compare(workspace.first, str)

    assert (record.added, len(record.changes), record.more) == (8, 3, 5)
    assert [change.no_diff for change in record.changes] == ["", comparison.TOO_MUCH, comparison.TOO_MUCH]
