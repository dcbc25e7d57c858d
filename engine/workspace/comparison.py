"""The second look: what is different in a workspace since the first look, and how."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import time
from collections.abc import Callable

import msgspec

from engine.workspace.differ import unified
from engine.workspace.first_look import MOST_TEXT, FirstLook, as_text, look_of
from engine.workspace.folders import Folders, open_file, read_file
from engine.workspace.listing import FILE, FOLDER, LINK, Item, Listing, list_tree, parent, readable
from engine.workspace.names import is_last, is_secret, runs_later
from engine.workspace.record import ADDED, CHANGED, DELETED, FileState, Look, WorkspaceChange, WorkspaceRecord

BUDGET = 5.0  # seconds
MOST_CHANGES = 5_000  # listed; the rest is counted
MOST_DIFFS = 4 * 1024 * 1024  # characters of all diffs
MOST_DIFF = 512 * 1024  # characters of one
MOST_HASHED = 16 * 1024 * 1024  # bytes of one file
MOST_HASHED_IN_ALL = 256 * 1024 * 1024

BINARY = "not text"
LARGE = f"larger than {MOST_TEXT >> 10} KiB"
SECRET = "its name says that it holds a secret"
NOT_KEPT = "what it held before was not kept"
OTHERS = "in a folder of packages or of what a build makes"
OUT_OF_TIME = "out of time"
TOO_MUCH = "there are more differences than are kept"
UNREADABLE = "it could not be read"
ONLY_HIDDEN = "it differs only in what the run hides"

# Passwords where they often stand in files that are not secret by name, git's settings before all.
_PASSWORDS = re.compile(r"(://[^/\s:@]*):[^/\s@]+@|(?i:(authorization\s*[:=]\s*[\"']?(?:\w+\s+)?))[^\s\"']+")


class _Found(msgspec.Struct):
    """A file at the second look. text: None for what is none, or was not read."""

    digest: bytes = b""
    text: str | None = None
    why: str = ""  # there is no text


class _Comparison:
    def __init__(self, taken: FirstLook, now: Listing, mask: Callable[[str], str], deadline: float) -> None:
        self.taken = taken
        self.now = now
        self.mask = mask
        self.deadline = deadline
        self.hashable = MOST_HASHED_IN_ALL
        self.diffable = MOST_DIFFS
        self.touched = 0

    def change(self, folders: Folders, path: str) -> WorkspaceChange | None:
        """None when what is there now is what was there."""
        old, new = _not_folder(self.taken.listing.items.get(path)), _not_folder(self.now.items.get(path))
        found = self._found(folders, path, new)
        known = self.taken.known.get(path)
        if old is not None and new is not None:
            same = _same_but_content(old, new)
            if same and (old.kind != FILE or (known is not None and known.digest == found.digest)):
                self.touched += 1
                return None
        before = None if old is None else self._state(path, old, known.digest if known is not None else b"")
        after = None if new is None else self._state(path, new, found.digest)
        diff, no_diff = self._diff(path, old, new, found)
        if no_diff == ONLY_HIDDEN or (diff and "[REDACTED]" in diff):
            before, after = _without_hash(before), _without_hash(after)
        name = readable(path)
        shown = self.mask(name)
        return WorkspaceChange(
            path=shown,
            path_hex="" if name == path or shown != name else os.fsencode(path).hex(),
            change=ADDED if old is None else DELETED if new is None else CHANGED,
            before=before,
            after=after,
            diff=diff,
            no_diff=no_diff,
            runs_later=runs_later(path),
        )

    def _state(self, path: str, item: Item, digest: bytes) -> FileState:
        return FileState(
            kind=item.kind,
            mode=f"{item.mode:o}",
            size=item.size if item.kind == FILE else 0,
            sha256="" if is_secret(path) else digest.hex(),
            target=self.mask(readable(item.target)),
            leads_out=item.kind == LINK and _leads_out(path, item.target),
        )

    def _found(self, folders: Folders, path: str, item: Item | None) -> _Found:
        if item is None or item.kind != FILE:
            return _Found()
        if time.monotonic() > self.deadline:
            return _Found(why=OUT_OF_TIME)
        try:
            folder, name = folders.open(parent(path)), path.rpartition("/")[2]
            if item.size > MOST_TEXT:
                return _Found(self._hash(folder, name, item.size), why=LARGE)
            data = read_file(folder, name, MOST_TEXT)
        except OSError:
            return _Found(why=UNREADABLE)
        if data is None:
            return _Found(why=LARGE)
        text = as_text(data)
        return _Found(self.taken.digest(data, secret=is_secret(path)), text, BINARY if text is None else "")

    def _hash(self, folder: int, name: str, size: int) -> bytes:
        if size > min(MOST_HASHED, self.hashable):
            return b""
        self.hashable -= size
        fd = open_file(folder, name)
        try:
            digest, left = hashlib.sha256(), MOST_HASHED
            while left > 0 and (piece := os.read(fd, 1 << 20)):
                digest.update(piece)
                left -= len(piece)
        finally:
            os.close(fd)
        return digest.digest() if left > 0 else b""

    def _diff(self, path: str, old: Item | None, new: Item | None, found: _Found) -> tuple[str, str]:
        """The diff, or why there is none; neither for what holds no content."""
        if all(item is None or item.kind != FILE for item in (old, new)):
            return "", ""
        if is_secret(path):
            return "", SECRET
        if is_last(path):
            return "", OTHERS
        texts: list[str] = []
        if old is not None and old.kind == FILE:
            known = self.taken.known.get(path)
            before = self.taken.text(path)
            if before is None:
                return "", LARGE if old.size > MOST_TEXT else NOT_KEPT if known is None else BINARY
            texts.append(before)
        if new is not None and new.kind == FILE:
            if found.text is None:
                return "", found.why
            texts.append(found.text)
        if time.monotonic() > self.deadline:
            return "", OUT_OF_TIME
        # Masked before they are compared: what goes over several lines would not be found among the marks.
        masked = [_PASSWORDS.sub(_redacted, self.mask(text)) for text in texts]
        first = masked[0] if old is not None and old.kind == FILE else ""
        last = masked[-1] if new is not None and new.kind == FILE else ""
        diff = unified(first, last)
        if len(diff) > min(MOST_DIFF, self.diffable):
            return "", TOO_MUCH
        self.diffable -= len(diff)
        if not diff and len(set(texts)) == 2:
            return "", ONLY_HIDDEN
        return diff, ""


def compare(taken: FirstLook, mask: Callable[[str], str], budget: float = BUDGET) -> WorkspaceRecord:
    """Look again, for about `budget` seconds. Blocking; the agent must be gone.

    mask: blots out what the run hides.
    """
    deadline = time.monotonic() + budget
    now = list_tree(taken.fd, deadline, taken.listing.items)
    comparison = _Comparison(taken, now, mask, deadline)
    changed = sorted(
        _different(taken.listing, now), key=lambda path: (not runs_later(path), is_last(path), path)
    )
    counts = dict.fromkeys((ADDED, CHANGED, DELETED), 0)
    changes: list[WorkspaceChange] = []
    more = 0
    with Folders(taken.fd) as folders:
        for path in changed:
            change = comparison.change(folders, path)
            if change is None:
                continue
            counts[change.change] += 1
            if len(changes) < MOST_CHANGES:
                changes.append(change)
            else:
                more += 1
    return WorkspaceRecord(
        root=str(taken.root),
        before=_masked(taken.look, mask),
        after=_masked(look_of(now), mask),
        added=counts[ADDED],
        changed=counts[CHANGED],
        deleted=counts[DELETED],
        touched=comparison.touched,
        more=more,
        changes=tuple(changes),
    )


def _different(before: Listing, now: Listing) -> list[str]:
    """The paths whose name, kind or times differ. Folders count only by what lies in them.

    What one of the looks left out is passed over, and the looks say so.
    """
    paths = []
    for path, old in before.items.items():
        new = now.items.get(path)
        if old == new or (_not_folder(old) is None and _not_folder(new) is None):
            continue
        if new is not None or now.absent(path):
            paths.append(path)
    paths += [
        path
        for path, new in now.items.items()
        if path not in before.items and new.kind != FOLDER and before.absent(path)
    ]
    return paths


def _masked(look: Look, mask: Callable[[str], str]) -> Look:
    left_out = (msgspec.structs.replace(item, paths=tuple(map(mask, item.paths))) for item in look.left_out)
    return msgspec.structs.replace(look, left_out=tuple(left_out))


def _not_folder(item: Item | None) -> Item | None:
    return None if item is None or item.kind == FOLDER else item


def _same_but_content(old: Item, new: Item) -> bool:
    return (old.kind, old.mode, old.target) == (new.kind, new.mode, new.target)


def _leads_out(path: str, target: str) -> bool:
    return target.startswith("/") or posixpath.normpath(posixpath.join(parent(path), target)).startswith("..")


def _without_hash(state: FileState | None) -> FileState | None:
    """A hash beside a text with one thing blotted out would let that be guessed."""
    return None if state is None else msgspec.structs.replace(state, sha256="")


def _redacted(match: re.Match[str]) -> str:
    return f"{match[1]}:[REDACTED]@" if match[1] is not None else f"{match[2]}[REDACTED]"
