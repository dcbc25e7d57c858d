"""What each place last said, in `heads/anchors/`, a file each: written by one `push` at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.anchors.head import Anchored, Place
from engine.audit.checkpoint import parse_checkpoint
from engine.audit.note import BadNote, parse_note
from engine.errors import HomeError
from engine.home import Home

_SUFFIX = ".json"


def anchors_directory(home: Home) -> Path:
    return home.heads / "anchors"


def read_anchored(home: Home) -> list[Anchored]:
    """What every place ever anchored to last said; a damaged file counts as none. Raises HomeError."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(home.check(anchors_directory(home)).glob(f"*{_SUFFIX}")):
            with contextlib.suppress(
                FileNotFoundError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError, BadNote
            ):
                anchored = msgspec.json.decode(home.read(path), type=Anchored)
                if anchored.note:
                    parse_checkpoint(parse_note(anchored.note.encode()).text)
                found.append(anchored)
    return found


def last_of(home: Home, place: Place) -> Anchored:
    """What `place` last said; of size 0 when it never did."""
    for anchored in read_anchored(home):
        if (anchored.kind, anchored.place) == (place.kind, place.place):
            return anchored
    return Anchored(place.kind, place.place)


def write_anchored(home: Home, anchored: Anchored) -> None:
    """Raises HomeError."""
    home.write(_path(home, anchored.kind, anchored.place), msgspec.json.encode(anchored))


def write_conflict(home: Home, anchored: Anchored, proof: str) -> Path:
    """Keep what shows that a log or a place is not honest; once, however often it comes up."""
    named = hashlib.sha256(proof.encode()).hexdigest()[:16]
    path = anchors_directory(home) / f"conflict-{anchored.kind}-{named}.txt"
    if not path.exists():
        home.write(path, proof.encode())
    return path


@contextlib.contextmanager
def pushing(home: Home, *, wait: bool = False) -> Iterator[bool]:
    """Whether this process may push now. While another one does it may not, or it waits for that."""
    home.ensure_dir(anchors_directory(home))
    lock = home.open_private(anchors_directory(home) / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        except OSError as error:
            raise HomeError(f"{anchors_directory(home)} cannot be locked: {error.strerror}") from error
        else:
            yield True
    finally:
        os.close(lock)


def clone_directory(home: Home, remote: str) -> Path:
    """Where the clone of a git remote is kept."""
    return anchors_directory(home) / f"git-{hashlib.sha256(remote.encode()).hexdigest()[:16]}"


def _path(home: Home, kind: str, place: str) -> Path:
    named = hashlib.sha256(place.encode()).hexdigest()[:16]
    return anchors_directory(home) / f"{kind}-{named}{_SUFFIX}"
