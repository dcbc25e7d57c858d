import msgspec
import pytest

import engine
from moat_tui.cli import volumes as volumes_module


def volume(**fields):
    base = {"name": "cache", "workspace": "/w", "path": "/p", "size": 1_500_000, "whole": True, "used_by": ()}
    return engine.VolumeInfo(**{**base, **fields})


@pytest.fixture
def removed(fake):
    calls = []
    fake("remove_volume", lambda home, workspace, name: calls.append((workspace, name)))
    return calls


def test_none_is_a_hint(moat, capsys):
    assert moat("volumes") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "no volumes" in err


def test_they_are_listed_harmlessly(moat, fake, capsys):
    found = [
        volume(),
        volume(name="models", size=999, used_by=("swift-otter", "b")),
        volume(name="x", size=123_456_789_000, whole=False, workspace="/w\x1b[2J"),
    ]
    fake("list_volumes", lambda home: found)
    assert moat("volumes") == 0
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.split() == ["NAME", "SIZE", "USED", "BY", "WORKSPACE"]
    assert [row.split() for row in rows] == [
        ["cache", "1.5", "MB", "-", "/w"],
        ["models", "999", "B", "swift-otter,b", "/w"],
        ["x", ">123", "GB", "-", "/w\\x1b[2J"],
    ]
    assert moat("volumes", "--json") == 0
    first = msgspec.json.decode(capsys.readouterr().out)[0]
    assert first == {
        "name": "cache", "workspace": "/w", "path": "/p", "size": 1_500_000, "whole": True, "used_by": [],
    }  # fmt: skip


def test_one_goes_by_its_name_and_workspace(moat, removed, tmp_path, capsys):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert moat("volumes", "rm", "cache") == 0
    assert moat("volumes", "rm", "cache", "link", "--json") == 0
    assert removed == [(str(tmp_path), "cache"), (str(tmp_path / "gone"), "cache")]
    said, *page = capsys.readouterr().out.splitlines()
    assert said == f"cache of {tmp_path} deleted"
    assert msgspec.json.decode("\n".join(page)) == {
        "name": "cache",
        "workspace": str(tmp_path / "gone"),
        "deleted": True,
    }


@pytest.mark.parametrize(("answer", "words", "goes"), [(True, [], 1), (False, [], 0), (False, ["-y"], 1)])
def test_a_person_is_asked(moat, removed, monkeypatch, capsys, answer, words, goes):
    monkeypatch.setattr(volumes_module, "person_there", lambda: True)
    monkeypatch.setattr(volumes_module, "confirm", lambda question: answer)
    assert moat("volumes", "rm", "cache", *words) == (0 if goes else 125)
    assert len(removed) == goes


def test_without_a_name_there_is_nothing_to_delete(moat, removed, capsys):
    assert moat("volumes", "rm") == 2
    assert moat("volumes", "rm", "nothing") == 0
    assert [name for _, name in removed] == ["nothing"]
