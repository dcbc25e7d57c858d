"""Heads in a directory and in a git remote, for real; and what a push makes of places that fail."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.anchors.directory import DirectoryWitness
from engine.anchors.git import BRANCH, GitWitness
from engine.anchors.head import AnchorConflict, Anchored, AnchorFailed, Head
from engine.anchors.kept import last_of, pushing, read_anchored
from engine.anchors.push import push
from engine.home import Home

type Grown = Callable[[int], Head]


def before(kind: str, place: str) -> Anchored:
    return Anchored(kind, place)  # type: ignore[arg-type]


async def test_a_directory_holds_the_newest_head_and_all_before(tmp_path: Path, grown: Grown):
    place = DirectoryWitness(tmp_path)
    for size in (1, 4, 4, 9):
        head = grown(size)
        assert await place.anchor(head, before("directory", str(tmp_path))) == head.note
    (mine,) = tmp_path.iterdir()
    assert (mine / "checkpoint").read_text() == grown(9).note
    assert (mine / "history").read_text() == "".join(f"{grown(size).note}\n" for size in (1, 4, 9))


async def test_a_directory_with_another_history(tmp_path: Path, grown: Grown, forked: Grown):
    place = DirectoryWitness(tmp_path)
    await place.anchor(grown(6), before("directory", ""))
    for head in (forked(6), forked(9), grown(5)):  # the last: a log restored from a copy
        with pytest.raises(AnchorConflict, match="no part"):
            await place.anchor(head, before("directory", ""))
    (mine,) = tmp_path.iterdir()
    assert (mine / "checkpoint").read_text() == grown(6).note
    (mine / "checkpoint").write_text("something else\n")
    with pytest.raises(AnchorConflict, match="not a head"):
        await place.anchor(grown(9), before("directory", ""))


async def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path, grown: Grown):
    with pytest.raises(AnchorFailed, match="not there"):
        await DirectoryWitness(tmp_path / "stick").anchor(grown(1), before("directory", ""))
    assert not (tmp_path / "stick").exists()


def git(directory: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=directory, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    return tmp_path / "remote.git"


async def test_a_git_remote_gets_a_commit_for_each_head(tmp_path: Path, remote: Path, grown: Grown):
    place = GitWitness(str(remote), tmp_path / "clone")
    await place.anchor(grown(2), before("git", ""))
    body = await place.anchor(grown(5), before("git", ""))
    assert body.startswith("commit " + git(remote, "rev-parse", BRANCH).strip())
    assert git(remote, "rev-list", "--count", BRANCH).strip() == "2"
    origin = grown(5).checkpoint.origin.rpartition("/")[2]
    assert git(remote, "show", f"{BRANCH}:{origin}/checkpoint") == grown(5).note


async def test_two_clones_of_one_remote(tmp_path: Path, remote: Path, grown: Grown, forked: Grown):
    await GitWitness(str(remote), tmp_path / "one").anchor(grown(2), before("git", ""))
    await GitWitness(str(remote), tmp_path / "two").anchor(grown(4), before("git", ""))
    await GitWitness(str(remote), tmp_path / "one").anchor(grown(6), before("git", ""))
    with pytest.raises(AnchorConflict):
        await GitWitness(str(remote), tmp_path / "two").anchor(forked(8), before("git", ""))


async def test_a_remote_that_is_not_there(tmp_path: Path, grown: Grown):
    with pytest.raises(AnchorFailed, match="nowhere"):
        await GitWitness(str(tmp_path / "nowhere.git"), tmp_path / "clone").anchor(
            grown(2), before("git", "")
        )


async def test_a_push_keeps_what_each_place_said(home: Home, tmp_path: Path, grown: Grown, forked: Grown):
    (tmp_path / "here").mkdir()
    here, gone = DirectoryWitness(tmp_path / "here"), DirectoryWitness(tmp_path / "gone")
    said = await push(home, [here, gone], lambda: grown(3))
    assert said is not None
    assert [(one.size, bool(one.problem)) for one in said] == [(3, False), (0, True)]
    (tmp_path / "gone").mkdir()
    said = await push(home, [here, gone], lambda: grown(3))
    assert said is not None
    assert [(one.size, one.problem) for one in said] == [(3, ""), (3, "")]
    for head in (forked(3), grown(2), forked(4)):
        said = await push(home, [here], lambda head=head: head)
        assert said is not None
        assert said[0].conflict
        assert "The proof: " in said[0].problem
    assert said[0].size == 3
    assert last_of(home, here) == said[0]
    assert len(read_anchored(home)) == 2


async def test_one_push_at_a_time(home: Home, tmp_path: Path, grown: Grown):
    with pushing(home) as mine:
        assert mine
        assert await push(home, [DirectoryWitness(tmp_path)], lambda: grown(1)) is None


def _linked(mine: Path, file: Path) -> None:
    (mine / "history").symlink_to(file)


def _linked_newest(mine: Path, file: Path) -> None:
    (mine / "checkpoint").symlink_to(file)


def _piped(mine: Path, file: Path) -> None:
    os.mkfifo(mine / "history")


def _piped_newest(mine: Path, file: Path) -> None:
    os.mkfifo(mine / "checkpoint")


def _elsewhere(mine: Path, file: Path) -> None:
    mine.rmdir()
    mine.symlink_to(file.parent)


@pytest.mark.parametrize("trap", [_linked, _linked_newest, _piped, _piped_newest, _elsewhere])
async def test_a_directory_that_others_write_to_leads_nowhere(
    tmp_path: Path, grown: Grown, trap: Callable[[Path, Path], None]
):
    place, (shared, own) = DirectoryWitness(tmp_path / "shared"), (tmp_path / "shared", tmp_path / "own")
    mine = shared / grown(2).checkpoint.origin.rpartition("/")[2]
    mine.mkdir(parents=True)
    own.mkdir()
    (own / "file").write_text("of the user")
    trap(mine, own / "file")
    async with asyncio.timeout(10):
        with pytest.raises(AnchorFailed, match="cannot be written"):
            await place.anchor(grown(2), before("directory", ""))
    assert [(path.name, path.read_text()) for path in own.iterdir()] == [("file", "of the user")]


async def test_a_git_remote_with_a_link_in_it_leads_nowhere(tmp_path: Path, remote: Path, grown: Grown):
    (tmp_path / "file").write_text("of the user")
    git(tmp_path, "clone", "--quiet", str(remote), "theirs")
    mine = tmp_path / "theirs" / grown(2).checkpoint.origin.rpartition("/")[2]
    mine.mkdir()
    _linked(mine, tmp_path / "file")
    git(tmp_path / "theirs", "add", "--all")
    git(tmp_path / "theirs", "-c", "user.name=a", "-c", "user.email=b", "commit", "--quiet", "-m", "c")
    git(tmp_path / "theirs", "push", "--quiet", "origin", f"HEAD:{BRANCH}")
    with pytest.raises(AnchorFailed, match="cannot be written"):
        await GitWitness(str(remote), tmp_path / "clone").anchor(grown(2), before("git", ""))
    assert (tmp_path / "file").read_text() == "of the user"


async def test_a_git_that_wants_a_password_asks_nobody(tmp_path: Path, grown: Grown, monkeypatch):
    asked = tmp_path / "asked"
    (tmp_path / "ask").write_text(f"#!/bin/sh\ntouch {asked}\necho secret\n")
    (tmp_path / "ask").chmod(0o700)
    monkeypatch.setenv("SSH_ASKPASS", str(tmp_path / "ask"))

    async def locked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        wanted = b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\n"
        writer.write(wanted + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(locked, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/heads.git"
        with pytest.raises(AnchorFailed):
            await GitWitness(url, tmp_path / "clone").anchor(grown(2), before("git", ""))
    assert not asked.exists()


async def test_what_a_place_said_that_cannot_be_read_any_more_counts_as_nothing(
    tmp_path: Path, home: Home, grown: Grown
):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    places = [DirectoryWitness(tmp_path / name) for name in ("one", "two")]
    await push(home, places, lambda: grown(2))
    (edited, _) = sorted((home.heads / "anchors").glob("*.json"))
    edited.write_text(edited.read_text().replace("moat/", "\\n\\nmoat/", 1))
    assert [done.size for done in await push(home, places, lambda: grown(3)) or ()] == [3, 3]


async def test_a_place_that_does_what_nobody_expects_leaves_the_others_alone(
    tmp_path: Path, home: Home, grown: Grown, monkeypatch
):
    class Odd(DirectoryWitness):
        async def anchor(self, head: Head, before: Anchored) -> str:
            raise RecursionError

    done = await push(home, [Odd(tmp_path / "odd"), DirectoryWitness(tmp_path)], lambda: grown(2))
    assert [each.size for each in done or ()] == [0, 2]
