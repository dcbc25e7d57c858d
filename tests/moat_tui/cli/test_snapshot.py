"""`moat snapshot`, `snapshots` and `restore` on a finished run's workspace."""

from __future__ import annotations

import msgspec
import pytest


@pytest.fixture
def workspace(tmp_path, put_run):
    place = tmp_path / "ws"
    place.mkdir()
    (place / "a.txt").write_text("one\n")
    put_run(workspace=str(place))
    return place


def test_made_listed_put_back_and_removed(moat, workspace, capsys):
    assert moat("snapshot", "swift-otter", "--label", "first\u202e") == 2
    assert moat("snapshot", "swift-otter", "--label", "first") == 0
    out, err = capsys.readouterr()
    assert out == "s1\n"
    assert "1 file, 4 B, " in err
    assert "stored for it; put it back: moat restore" in err
    (workspace / "a.txt").write_text("two\n")

    assert moat("restore", "swift-otter", "s1") == 0
    out, err = capsys.readouterr()
    assert out == "s2\n"
    assert "1 written, 0 deleted" in err
    assert (workspace / "a.txt").read_text() == "one\n"

    assert moat("snapshots") == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["ID", "TIME", "WHY", "FILES", "SIZE", "STORED", "LEFT", "OUT", "LABEL"]
    assert rows[1].split()[3:7] == ["asked", "1", "4", "B"]
    assert rows[1].split()[-2:] == ["-", "first"]
    assert rows[2].endswith("before s1 was put back")

    assert moat("snapshots", "--json") == 0
    assert [info["id"] for info in msgspec.json.decode(capsys.readouterr().out)] == ["s1", "s2"]
    assert moat("snapshot", "rm", "swift-otter", "s2") == 0
    assert capsys.readouterr().out.startswith("s2 removed, ")


def test_elsewhere_as_json(moat, workspace, tmp_path, capsys):
    moat("snapshot")
    capsys.readouterr()

    assert moat("restore", "swift-otter", "s1", "--to", str(tmp_path / "there"), "--json") == 0
    assert msgspec.json.decode(capsys.readouterr().out)["done"]["written"] == 1
    assert (tmp_path / "there" / "a.txt").read_text() == "one\n"


def test_what_is_not_there_is_a_usage_error(moat, workspace, capsys):
    assert moat("restore", "swift-otter", "s9") == 2
    assert "Make one: moat snapshot" in capsys.readouterr().err
    assert moat("snapshots") == 0
    assert "has no snapshots" in capsys.readouterr().err


def test_names_of_files_are_spelled_out(moat, workspace, capsys):
    import os

    os.mkfifo(workspace / "pi\x1b]0;x\x07pe")

    assert moat("snapshot") == 0
    err = capsys.readouterr().err
    assert "not in it: 1 (a socket, a pipe or a device): pi\\x1b]0;x\\x07pe" in err
