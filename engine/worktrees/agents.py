"""What an agent left in a worktree's .git: its branches and its new objects. Nothing there is obeyed.

The files are opened by descriptors over no link and copied, or read as the two small formats that they are:
a reference is a hash in a file, or a line of packed-refs. git itself never runs on them where they lie.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.errors import MoatError
from engine.workspace.folders import Folders, open_file, open_root, read_file
from engine.workspace.listing import readable
from engine.worktrees.git import LONG, Git

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LOOSE = re.compile(r"[0-9a-f]{38}(?:[0-9a-f]{24})?")
_PACK = re.compile(r"(pack-[0-9a-f]{40}(?:[0-9a-f]{24})?)\.pack")
_HEADS = "refs/heads/"
_STASH = "refs/stash"
_MOST_REFS = 20_000
_MOST_FILE = 16 << 20  # bytes of packed-refs
_DEEPEST = 20  # folders in a branch's name
_MOST_LOOSE = 500_000  # new objects in files of their own
_MOST_BYTES = 8 << 30  # of them and of all packs
_LONGEST_SHOWN = 200  # characters


class Unreadable(MoatError):
    """The worktree's .git is not what git makes."""


class References(msgspec.Struct, frozen=True):
    """head: the branch that is checked out, or a commit; heads: branch -> commit; stash: "" without one.

    The names are the agent's: `plain` makes them fit to be shown.
    """

    head: str
    heads: dict[str, str]
    stash: str = ""


def read_references(tree: Path) -> References:
    """Raises Unreadable."""
    root = _open(tree)
    try:
        with Folders(root) as folders:
            try:
                git = folders.open(".git")
            except OSError as error:
                raise Unreadable(f"{tree} has no .git of its own any more", detail=str(error)) from error
            if "reftable" in os.listdir(git):
                raise Unreadable(f"{tree} keeps its branches as a reftable, which Moat does not read")
            packed = parse_packed(_small(git, "packed-refs", _MOST_FILE))
            head = parse_head(_small(git, "HEAD", 4096))
            heads = {name: target for name, target in packed.items() if name.startswith(_HEADS)}
            stash = _target(_small(folders.open(".git/refs"), "stash", 4096)) or packed.get(_STASH, "")
            for name in _names(folders, ".git/refs/heads"):
                folder, _, last = f".git/{_HEADS}{name}".rpartition("/")
                target = _target(_small(folders.open(folder), last, 4096))
                if target:
                    heads[_HEADS + name] = target
    except OSError as error:
        raise Unreadable(f"the branches of {tree} cannot be read", detail=str(error)) from error
    finally:
        os.close(root)
    return References(head, {name.removeprefix(_HEADS): target for name, target in heads.items()}, stash)


def plain(name: str) -> str:
    """A name without what is no text, and not too long. Pure."""
    shown = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in readable(name))
    return shown[:_LONGEST_SHOWN]


def parse_packed(data: bytes) -> dict[str, str]:
    """Lines of `<hash> <name>`; what is none of these is passed over. Pure."""
    found: dict[str, str] = {}
    for line in data.decode(errors="surrogateescape").split("\n")[:_MOST_REFS]:
        target, _, name = line.partition(" ")
        if _HASH.fullmatch(target) and name.startswith("refs/"):
            found[name] = target
    return found


def parse_head(data: bytes) -> str:
    """The branch that HEAD names, else the commit, else "". Pure."""
    text = data.decode(errors="replace").strip()
    name = text.removeprefix("ref:").strip()
    return name.removeprefix(_HEADS) if text.startswith("ref:") else _target(data)


def copy_objects(tree: Path, known: Git, into: Path, given: tuple[str, ...]) -> list[str]:
    """Copy what the worktree has and `known` has not into the empty object store `into`.

    given: names of packs that came from the person's repository. Returns what could not be taken.
    """
    problems: list[str] = []
    taker = Git(known.directory, objects=into)
    root = _open(tree)
    try:
        with Folders(root) as folders:
            left = _MOST_BYTES
            for name in _missing(known, _loose(folders)):
                folder, rest = name[:2], name[2:]
                try:
                    left -= _copy(folders.open(f".git/objects/{folder}"), rest, into / folder, left)
                except OSError as error:
                    problems.append(f"object {name[:12]}: {error.strerror or error}")
            for name in _packs(folders):
                if name not in given:
                    try:
                        fd = open_file(folders.open(".git/objects/pack"), f"{name}.pack")
                    except OSError as error:
                        problems.append(f"{name[:17]}: {error.strerror or error}")
                        continue
                    with os.fdopen(fd, "rb") as file:
                        try:
                            size = f"--max-input-size={max(left, 1)}"
                            left -= os.fstat(fd).st_size
                            taker("index-pack", "--stdin", size, given=file, timeout=LONG)
                        except MoatError as error:
                            problems.append(f"{name[:17]}: {error.detail}")
    except OSError as error:
        problems.append(f"its objects: {error.strerror or error}")
    finally:
        os.close(root)
    return problems


def packs(tree: Path) -> tuple[str, ...]:
    root = _open(tree)
    try:
        with Folders(root) as folders:
            return tuple(_packs(folders))
    finally:
        os.close(root)


def _open(tree: Path) -> int:
    try:
        return open_root(str(tree))
    except OSError as error:
        raise Unreadable(f"the worktree {tree} cannot be opened", detail=str(error)) from error


def _small(folder: int, name: str, most: int) -> bytes:
    try:
        return read_file(folder, name, most) or b""
    except FileNotFoundError:
        return b""


def _target(data: bytes) -> str:
    text = data.decode(errors="replace").strip()
    return text if _HASH.fullmatch(text) else ""


def _names(folders: Folders, top: str) -> Iterator[str]:
    """The files below a folder, by their paths below it."""
    left = _MOST_REFS
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        try:
            fd = folders.open(f"{top}/{inner}" if inner else top)
        except OSError:
            continue
        with os.scandir(fd) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for name, is_folder in found:
            path = f"{inner}/{name}" if inner else name
            if is_folder and path.count("/") < _DEEPEST:
                waiting.append(path)
            elif not is_folder and not name.endswith(".lock"):
                yield path
            left -= 1
            if left < 0:
                raise OSError(f"more than {_MOST_REFS} branches")


def _loose(folders: Folders) -> Iterator[str]:
    left = _MOST_LOOSE
    for name in os.listdir(folders.open(".git/objects")):
        if not re.fullmatch("[0-9a-f]{2}", name):
            continue
        try:
            rests = os.listdir(folders.open(f".git/objects/{name}"))
        except OSError:
            continue
        for rest in rests:
            if _LOOSE.fullmatch(rest):
                yield name + rest
                left -= 1
                if left < 0:
                    raise OSError(f"more than {_MOST_LOOSE} objects")


def _packs(folders: Folders) -> Iterator[str]:
    try:
        names = os.listdir(folders.open(".git/objects/pack"))
    except OSError:
        return
    yield from sorted(found[1] for name in names if (found := _PACK.fullmatch(name)))


def _missing(known: Git, names: Iterator[str]) -> list[str]:
    """Those that the person's repository does not have."""
    asked = "".join(f"{name}\n" for name in names)
    if not asked:
        return []
    answers = known("cat-file", "--batch-check=%(objectname)", given=asked, timeout=LONG)
    return [line.removesuffix(" missing") for line in answers.splitlines() if line.endswith(" missing")]


def _copy(folder: int, name: str, into: Path, most: int) -> int:
    fd = open_file(folder, name)
    try:
        size = os.fstat(fd).st_size
        if size > most:
            raise OSError("more than is taken of one worktree")
        into.mkdir(mode=0o700, exist_ok=True)
        with open(into / name, "xb") as out:
            left = most
            while piece := os.read(fd, 1 << 20):
                left -= len(piece)
                if left < 0:
                    raise OSError("more than is taken of one worktree")
                out.write(piece)
        return size
    finally:
        os.close(fd)
