"""What files held, each content once, under the SHA-256 of it: `objects/ab/cdef…`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Container, Iterator

_PIECE = 1 << 20  # bytes; what is not larger is hashed before it is written, if at all
_TEMPORARY = ".tmp-"
_DIR_MODE, _FILE_MODE = 0o700, 0o600
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Unreadable(Exception):
    """What was to be kept could not be read; what keeps it is well."""


class Blobs:
    """folder: a descriptor of a private directory, which stays the caller's."""

    def __init__(self, folder: int, *, durable: bool = False) -> None:
        """durable: whether a content is on the disk when `keep` returns."""
        self._folder = folder
        self._durable = durable
        self.stored = 0  # bytes that were not there before

    def has(self, digest: bytes) -> bool:
        try:
            os.stat(_place(digest), dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def keep(self, fd: int, most: int) -> tuple[bytes, int] | None:
        """Read a file to its end; returns its digest and size, None when that is more than `most` bytes.

        Raises Unreadable, and OSError when it cannot be kept.
        """
        first = _beginning(fd)
        if len(first) > most:
            return None
        if len(first) < _PIECE:
            digest = hashlib.sha256(first).digest()
            if not self.has(digest):
                with self._temporary() as (name, out):
                    _write(out, first)
                    self._settle(name, out, digest, len(first))
            return digest, len(first)
        hashed, size = hashlib.sha256(first), len(first)
        with self._temporary() as (name, out):
            _write(out, first)
            while piece := _some(fd, _PIECE):
                size += len(piece)
                if size > most:
                    return None
                hashed.update(piece)
                _write(out, piece)
            if not self.has(hashed.digest()):
                self._settle(name, out, hashed.digest(), size)
        return hashed.digest(), size

    def keep_bytes(self, data: bytes) -> bytes:
        digest = hashlib.sha256(data).digest()
        if not self.has(digest):
            with self._temporary() as (name, out):
                _write(out, data)
                self._settle(name, out, digest, len(data))
        return digest

    def read(self, digest: bytes) -> bytes:
        """All of it. Raises FileNotFoundError, and OSError when it is not what was kept."""
        with self._opened(digest) as fd:
            pieces = b"".join(_pieces(fd))
        if hashlib.sha256(pieces).digest() != digest:
            raise OSError(f"the kept content {digest.hex()} is damaged")
        return pieces

    def copy(self, digest: bytes, out: int) -> None:
        """Write it to the descriptor `out`. Raises as `read`, and then `out` holds what must not be used."""
        hashed = hashlib.sha256()
        with self._opened(digest) as fd:
            for piece in _pieces(fd):
                hashed.update(piece)
                _write(out, piece)
        if hashed.digest() != digest:
            raise OSError(f"the kept content {digest.hex()} is damaged")

    def sweep(self, needed: Container[bytes]) -> int:
        """Remove what is not needed, and what a process that died left; returns the bytes. Nobody may be
        keeping anything meanwhile.
        """
        freed = 0
        for name in os.listdir(self._folder):
            if name.startswith(_TEMPORARY):
                os.unlink(name, dir_fd=self._folder)
                continue
            folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self._folder)
            try:
                for rest in os.listdir(folder):
                    if bytes.fromhex(name + rest) not in needed:
                        freed += os.stat(rest, dir_fd=folder).st_size
                        os.unlink(rest, dir_fd=folder)
            finally:
                os.close(folder)
        return freed

    @contextlib.contextmanager
    def _opened(self, digest: bytes) -> Iterator[int]:
        fd = os.open(_place(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[str, int]]:
        name = _TEMPORARY + secrets.token_hex(8)
        fd = os.open(name, _NEW, _FILE_MODE, dir_fd=self._folder)
        try:
            os.fchmod(fd, _FILE_MODE)
            yield name, fd
        finally:
            os.close(fd)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._folder)

    def _settle(self, name: str, fd: int, digest: bytes, size: int) -> None:
        if self._durable:
            os.fsync(fd)
        place = _place(digest)
        with contextlib.suppress(FileExistsError):
            os.mkdir(place[:2], _DIR_MODE, dir_fd=self._folder)
        os.rename(name, place, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self.stored += size


def _place(digest: bytes) -> str:
    name = digest.hex()
    return f"{name[:2]}/{name[2:]}"


def _beginning(fd: int) -> bytes:
    """A piece; less only where there is no more."""
    pieces, left = [], _PIECE
    while left > 0 and (piece := _some(fd, left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _some(fd: int, most: int) -> bytes:
    try:
        return os.read(fd, most)
    except OSError as error:
        raise Unreadable from error


def _pieces(fd: int) -> Iterator[bytes]:
    while piece := os.read(fd, _PIECE):
        yield piece


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
