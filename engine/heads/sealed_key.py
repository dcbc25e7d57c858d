"""The installation's signing key on disk: sealed, and only the current one.

    signing.pub            key 0's public half as hex: what verification pins; never written again
    signing.key.enc        the current key
    signing.key.next.enc   its successor, while one takes the other's place

The sealed text is the 32-byte seed, and after it (from the moment that heads.db exists) the key's number
as 8 bytes, big-endian: so a heads.db that was removed is missed.
"""

from __future__ import annotations

import contextlib
import os

import msgspec

from engine.audit.signer import PUBLIC_KEY_BYTES, SEED_BYTES, Signer
from engine.credentials import KeySource, SealedFile
from engine.errors import CredentialUnreadable, HomeError
from engine.home import Home

PUBLIC_KEY = "signing.pub"
SEALED = "signing.key.enc"
NEXT = "signing.key.next.enc"
_LABEL = "moat:audit-signing-key"
_UNNUMBERED = 12 + SEED_BYTES + 16  # bytes of the sealed file, with its nonce and tag
_ANEW = "Restore it from a backup, or move heads/ away to begin as a new installation."


class HeldKey(msgspec.Struct, frozen=True):
    """number: -1 when it was sealed before there was a heads.db."""

    signer: Signer
    number: int


def read_pin(home: Home) -> bytes:
    """Key 0's public half, 32 bytes. Raises FileNotFoundError, or HomeError when it is no key."""
    path = home.heads / PUBLIC_KEY
    try:
        key = bytes.fromhex(home.read(path).decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        raise HomeError(
            f"{path} is not a public key",
            remedy="Restore it from a backup: signatures cannot be checked against a damaged key.",
        )
    return key


def log_is_begun(home: Home) -> bool:
    """Whether the sealed key says that there is a heads.db; without opening it, by its size."""
    try:
        return (home.heads / SEALED).lstat().st_size > _UNNUMBERED
    except FileNotFoundError:
        return False


class SealedKey:
    """Whoever uses it holds the lock of heads/. Raises KeychainError, CredentialUnreadable, HomeError."""

    def __init__(self, home: Home, keys: KeySource) -> None:
        self._home = home
        self._files = SealedFile(home, keys)
        self._current = home.heads / SEALED
        self._next = home.heads / NEXT

    def load(self) -> list[HeldKey]:
        """The current key, and after it its successor if one was left. Makes key 0 where there is none."""
        found: list[HeldKey] = []
        try:
            found.append(self._read(SEALED))
        except FileNotFoundError:
            pass
        except CredentialUnreadable:
            if not os.path.lexists(self._next):  # else it was wiped for its successor
                raise
        with contextlib.suppress(FileNotFoundError):
            found.append(self._read(NEXT))
        if not found:
            if os.path.lexists(self._home.heads / PUBLIC_KEY):
                raise CredentialUnreadable(
                    f"the installation's signing key {self._current} is missing", remedy=_ANEW
                )
            found = [HeldKey(Signer.generate(), -1)]
            self._write(SEALED, found[0])
        return found

    def pin(self, held: list[HeldKey]) -> bytes:
        """Key 0's public half; written now when the first command was killed before it did."""
        try:
            return read_pin(self._home)
        except FileNotFoundError:
            if held[0].number >= 0:
                raise HomeError(f"{self._home.heads / PUBLIC_KEY} is missing", remedy=_ANEW) from None
        public_key = held[0].signer.public_key
        self._home.write(self._home.heads / PUBLIC_KEY, public_key.hex().encode() + b"\n")
        return public_key

    def choose(self, held: list[HeldKey], public_key: bytes) -> HeldKey:
        """That of `held` which the installation's log names as the current one."""
        for key in held:
            if key.signer.public_key == public_key:
                return key
        raise CredentialUnreadable(
            f"{self._current} is not the key that the installation's log names",
            detail="One of the two was put back from a copy or replaced.",
            remedy=_ANEW,
        )

    def number(self, key: HeldKey) -> None:
        """Seal the current key again, now with its number."""
        self._write(SEALED, key)

    def has_next(self) -> bool:
        return os.path.lexists(self._next)

    def prepare(self, following: HeldKey) -> None:
        """Put the successor beside the current key. Until the log names it, it counts for nothing."""
        self._write(NEXT, following)

    def promote(self) -> None:
        """The log names the successor: put it in the current key's place, and that beyond recovery.

        A file system that writes elsewhere (copy on write, flash) may keep the sealed bytes for a while.
        """
        with contextlib.suppress(FileNotFoundError):
            fd = self._home.open_private(self._current, os.O_WRONLY)
            try:
                os.write(fd, bytes(os.fstat(fd).st_size))
                os.fsync(fd)
            finally:
                os.close(fd)
        os.replace(self._home.check(self._next), self._home.check(self._current))
        _sync_directory(self._home)

    def discard(self) -> None:
        """The log does not name the successor: its transaction never ended."""
        self._home.remove(self._next)

    def _read(self, name: str) -> HeldKey:
        path = self._home.heads / name
        text = self._files.read(path, _LABEL)
        if len(text) not in (SEED_BYTES, SEED_BYTES + 8):
            raise CredentialUnreadable(f"{path} does not hold a signing key", remedy=_ANEW)
        number = int.from_bytes(text[SEED_BYTES:], "big") if len(text) > SEED_BYTES else -1
        return HeldKey(Signer(text[:SEED_BYTES]), number)

    def _write(self, name: str, key: HeldKey) -> None:
        number = key.number.to_bytes(8, "big") if key.number >= 0 else b""
        self._files.write(self._home.heads / name, _LABEL, key.signer.seed + number)


def _sync_directory(home: Home) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(home.heads, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
