"""The first look: what lies in the workspace before the agent starts, and the texts to compare it with."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.events import timestamp
from engine.workspace.contents import Contents
from engine.workspace.folders import Folders, open_root, read_file
from engine.workspace.listing import FILE, LATE, LINK, SPECIAL, Item, Listing, list_tree, parent
from engine.workspace.names import is_last, is_secret
from engine.workspace.record import Look

MOST_TEXT = 256 * 1024  # bytes of one file that is kept
MOST_KEPT = 32 * 1024 * 1024  # bytes of all of them
MOST_READ = 2 * MOST_KEPT  # bytes read, what is no text included
BUDGET = 0.5  # seconds

FULL = "more text than is kept of one workspace"


class Known(msgspec.Struct, frozen=True):
    """What a file held at the first look. at: where its text is kept, -1 where it is not."""

    digest: bytes
    at: int = -1
    size: int = 0


class FirstLook:
    """Of one run; `close` it. fd: of the workspace itself, whatever becomes of its name."""

    def __init__(self, root: Path, folder: Path) -> None:
        """folder: where texts may be kept, in a file without a name. Raises OSError."""
        self.root = root
        self.fd = open_root(str(root))
        try:
            self.contents = Contents(folder)
        except BaseException:
            os.close(self.fd)
            raise
        self.listing = Listing()
        self.known: dict[str, Known] = {}
        self.look = Look(at="")
        # Of a secret only this run can say whether it is the same: a plain hash could be guessed from.
        self.key = secrets.token_bytes(32)

    def close(self) -> None:
        os.close(self.fd)
        self.contents.close()

    def digest(self, data: bytes, *, secret: bool) -> bytes:
        if secret:
            return hashlib.blake2b(data, digest_size=32, key=self.key).digest()
        return hashlib.sha256(data).digest()

    def text(self, path: str) -> str | None:
        """The text that was kept of a file."""
        found = self.known.get(path)
        if found is None or found.at < 0:
            return None
        return self.contents.read(found.at, found.size).decode()


def take_first_look(root: Path, folder: Path, budget: float = BUDGET) -> FirstLook:
    """Look at everything below `root`, for at most `budget` seconds. Blocking.

    Raises OSError when `root` cannot be opened, or nothing can be kept in `folder`.
    """
    taken = FirstLook(root, folder)
    try:
        deadline = time.monotonic() + budget
        taken.listing = list_tree(taken.fd, deadline)
        _read_texts(taken, deadline)
        taken.look = look_of(taken.listing, kept=sum(known.at >= 0 for known in taken.known.values()))
        return taken
    except BaseException:
        taken.close()
        raise


def look_of(listing: Listing, kept: int = 0) -> Look:
    kinds = [item.kind for item in listing.items.values()]
    return Look(
        at=timestamp(),
        files=kinds.count(FILE),
        links=kinds.count(LINK),
        special=kinds.count(SPECIAL),
        bytes=sum(item.size for item in listing.items.values() if item.kind == FILE),
        kept=kept,
        left_out=listing.omissions.said(),
    )


def as_text(data: bytes) -> str | None:
    """None for what is no text: not UTF-8, or with a NUL in it."""
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _read_texts(taken: FirstLook, deadline: float) -> None:
    left = MOST_READ
    with Folders(taken.fd) as folders:
        for path, item in _worth_reading(taken.listing):
            if time.monotonic() > deadline:
                taken.listing.omissions.add(f"text: {LATE}", path)
                continue
            if item.size > left or taken.contents.size + item.size > MOST_KEPT:
                taken.listing.omissions.add(FULL, path)
                continue
            try:
                data = read_file(folders.open(parent(path)), path.rpartition("/")[2], MOST_TEXT)
            except OSError:
                continue  # then it is not compared, and the difference says so
            if data is None:
                continue
            left -= len(data)
            at = -1
            secret = is_secret(path)
            if not secret and as_text(data) is not None:
                at = taken.contents.keep(data)
            taken.known[path] = Known(taken.digest(data, secret=secret), at, len(data))


def _worth_reading(listing: Listing) -> Iterator[tuple[str, Item]]:
    for path, item in listing.items.items():
        if item.kind == FILE and item.size <= MOST_TEXT and not is_last(path):
            yield path, item
