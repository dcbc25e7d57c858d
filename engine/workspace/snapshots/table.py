"""What lay where in a workspace at one moment. Pure.

Paths are bytes, relative to the workspace, with slashes; the workspace itself is b"".
"""

from __future__ import annotations

from functools import cached_property

import msgspec

from engine.workspace.listing import FOLDER

VERSION = 1


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """kind: file, link or folder; times in nanoseconds; altered: st_ctime, which nobody can set back.

    digest: SHA-256 of a file's content; target: of a link.
    """

    path: bytes
    kind: str
    mode: int
    size: int = 0
    modified: int = 0
    altered: int = 0
    inode: int = 0
    digest: bytes = b""
    target: bytes = b""

    def same(self, other: Entry) -> bool:
        """Whether putting `other` in its place would change nothing."""
        return (self.kind, self.mode, self.digest, self.target) == (
            other.kind, other.mode, other.digest, other.target,
        )  # fmt: skip


class Table(msgspec.Struct, frozen=True, dict=True):
    """left: what was there and was not taken, with all that lies below it. open: folders of which not all
    names are known.
    """

    entries: tuple[Entry, ...] = ()
    left: tuple[bytes, ...] = ()
    open: tuple[bytes, ...] = ()
    version: int = VERSION

    @cached_property
    def by_path(self) -> dict[bytes, Entry]:
        return {entry.path: entry for entry in self.entries}

    @cached_property
    def _left(self) -> frozenset[bytes]:
        return frozenset(self.left)

    @cached_property
    def _open(self) -> frozenset[bytes]:
        return frozenset(self.open)

    def left_out(self, path: bytes) -> bool:
        """Whether nothing is known of what lay at `path`, because it or a folder above it was left out."""
        while path not in self._left:
            if not path:
                return False
            path = parent(path)
        return True

    def absent(self, path: bytes) -> bool:
        """Whether nothing lay at `path`; False too where nobody could say."""
        if path in self.by_path or self.left_out(path):
            return False
        while path:
            path = parent(path)
            found = self.by_path.get(path)
            if found is not None or not path:
                return (found is not None and found.kind != FOLDER) or path not in self._open
        return False


def parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def encode_table(table: Table) -> bytes:
    return msgspec.msgpack.encode(table)


def decode_table(data: bytes) -> Table:
    """Raises msgspec.MsgspecError, and ValueError for paths that would lead out of a workspace."""
    table = msgspec.msgpack.decode(data, type=Table)
    for entry in table.entries:
        if not is_path(entry.path):
            raise ValueError(f"not a path below a workspace: {entry.path!r}")
    return table


def is_path(path: bytes) -> bool:
    return all(name not in (b"", b".", b"..") for name in path.split(b"/")) and b"\0" not in path
