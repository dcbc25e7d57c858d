"""The one key that seals everything below the home, and where it is kept.

Order: the key file when there is one, else the keychain, else (nothing sealed yet) a new key, put into
the keychain or, where there is none or it fails, into the file. While any sealed file exists a missing
key is an error and never a reason to make another: the new one would open nothing and hide that the
old one only sits in a locked keychain.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.credentials.keychain import Keychain
from engine.credentials.names import SUFFIX
from engine.credentials.sealing import KEY_SIZE
from engine.errors import HomeError, KeychainError
from engine.file_lock import file_lock
from engine.home import FILE_MODE, Home


class KeyLocation(msgspec.Struct, frozen=True):
    """place: "keychain", "file" or "none"; detail: which one, or why none; problem: why it cannot be used."""

    place: str
    detail: str
    problem: str = ""


class _NotAKey(KeychainError):
    """A place answered, with something that cannot be a key."""


class KeySource:
    """Blocking: a call may wait for the keychain (10 s) or for another Moat that is making the key."""

    def __init__(
        self,
        home: Home,
        environ: Mapping[str, str] = os.environ,
        *,
        keychain: Keychain | None = None,
        lock_timeout: float = 60.0,
    ) -> None:
        self.notice = ""  # one line for the person when a key file has just been made
        self._home = home
        self._forced_file = environ.get("MOAT_KEYRING_BACKEND", "").strip().lower() == "file"
        self._keychain = keychain or Keychain(environ)
        self._lock_timeout = lock_timeout
        self._key: bytes | None = None

    def __repr__(self) -> str:
        return f"KeySource({str(self._home.root)!r})"

    def load(self) -> bytes:
        """The key, 32 bytes; never makes one. Raises KeychainError."""
        if self._key is None:
            self._key = self._find()
        if self._key is None:
            raise self._missing()
        return self._key

    def load_or_create(self) -> bytes:
        """The key, made now if nothing is sealed yet. Raises KeychainError."""
        if self._key is None:
            self._key = self._read_file()
        if self._key is None:
            with self._locked():
                self._key = self._find_or_mint()
        return self._key

    def where(self) -> KeyLocation:
        """For `moat doctor`; makes nothing and raises nothing."""
        file = self._home.key_file
        try:
            if self._read_file() is not None:
                return KeyLocation("file", str(file))
            if self._forced_file:
                return KeyLocation("none", f"the first grant will make {file}", self._loss())
            entry = self._keychain.read()
            if entry.text:
                _decode(entry.text, f"the keychain entry {self._keychain.service}")
                return KeyLocation("keychain", entry.backend)
        except KeychainError as error:
            place = "file" if os.path.lexists(file) else "none"
            return KeyLocation(place, str(file) if place == "file" else "the keychain fails", str(error))
        except HomeError as error:
            return KeyLocation("file", str(file), str(error))
        if entry.backend:
            return KeyLocation("none", f"the first grant will make one in {entry.backend}", self._loss())
        return KeyLocation("none", f"no keychain here; the first grant will make {file}", self._loss())

    def _find(self) -> bytes | None:
        """The key, None when every place answered that it has none."""
        if key := self._read_file():
            return key
        if self._forced_file:
            return None
        entry = self._keychain.read()
        return _decode(entry.text, f"the keychain entry {self._keychain.service}") if entry.text else None

    def _find_or_mint(self) -> bytes:
        """Inside the lock."""
        try:
            if key := self._find():
                return key
            reason = "" if self._forced_file else "there is no keychain here"
        except _NotAKey:
            raise  # somebody's entry, or a damaged one: not ours to write over or to pass by
        except KeychainError as error:
            if self._first_sealed():
                raise
            reason = error.what  # nothing is sealed, so no key can be lost: the file serves from now on
        if self._first_sealed():
            raise self._missing()
        key = secrets.token_bytes(KEY_SIZE)
        if not self._forced_file and self._put_in_keychain(key):
            return key
        self._home.write(self._home.key_file, base64.b64encode(key))
        said = f"{reason}; " if reason else ""
        self.notice = f"{said}the key that seals credentials is kept in {self._home.key_file} (mode 0600)"
        return key

    def _put_in_keychain(self, key: bytes) -> bool:
        """Whether the keychain now holds `key`, as read back: some backends accept and forget."""
        text = base64.b64encode(key).decode()
        try:
            if not self._keychain.read().backend:
                return False
            self._keychain.write(text)
            return secrets.compare_digest(self._keychain.read().text, text)
        except KeychainError:
            return False

    def _read_file(self) -> bytes | None:
        path = self._home.key_file
        try:
            fd = self._home.open_private(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(fd)
            mode = stat.S_IMODE(found.st_mode)
            if mode & 0o077:
                raise KeychainError(
                    f"{path} can be read by others (mode {mode:04o}, expected {FILE_MODE:04o})",
                    remedy=f"Run chmod 600 {path}; on a shared machine, replace the stored tokens too.",
                )
            if found.st_uid != os.geteuid():
                raise KeychainError(
                    f"{path} belongs to another user (uid {found.st_uid})",
                    remedy="Run Moat as that user, or set MOAT_HOME to a directory of your own.",
                )
            data = file.read(1024)
        return data if len(data) == KEY_SIZE else _decode(data.decode("ascii", "replace"), str(path))

    def _missing(self) -> KeychainError:
        if loss := self._loss():
            return KeychainError(
                loss,
                remedy="Bring it back (unlock or restore the keychain, or the key file), or revoke what is "
                "stored and grant it again.",
            )
        return KeychainError("there is no encryption key yet", remedy="The first moat grant makes it.")

    def _loss(self) -> str:
        sealed = self._first_sealed()
        return (
            f"the key that sealed {sealed} is not in the keychain or in {self._home.key_file}"
            if sealed
            else ""
        )

    def _first_sealed(self) -> Path | None:
        """Any sealed file below the home. Runs hold none and may be many, so they are not searched."""

        def fail(error: OSError) -> None:
            # Not being able to look is not the same as having found nothing.
            if not isinstance(error, FileNotFoundError):
                raise KeychainError(f"{error.filename}: {error.strerror}") from error

        for directory, names, files in os.walk(self._home.root, onerror=fail):
            if Path(directory) == self._home.root and "runs" in names:
                names.remove("runs")
            for name in files:
                if name.endswith(SUFFIX):
                    return Path(directory) / name
        return None

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        """One process at a time makes a key. `key.lock` is the name that the Go Moat locks too."""
        late = KeychainError(
            "another Moat is still making the encryption key",
            remedy="It may wait for a keychain prompt; answer that, or end it.",
        )
        return file_lock(self._home, self._home.root / "key.lock", self._lock_timeout, late)


def _decode(text: str, place: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_SIZE:
        raise _NotAKey(
            f"what {place} holds is not a key (expected base64 of {KEY_SIZE} bytes)",
            remedy="Restore it from a backup; without it, revoke what is stored and grant it again.",
        )
    return key
