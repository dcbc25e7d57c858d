"""The encrypted store: `credentials/[profiles/<name>/]<provider>.enc`.

Each file is sealed for its provider and profile, so one put in another's place does not open. Files of
the Go Moat (v1) carry no such label and are still read; for them the provider inside must be the one
the file is named after.
"""

from __future__ import annotations

import contextlib
import os
import stat
from contextlib import AbstractContextManager
from pathlib import Path

from engine.credentials.credential import Credential, decode, encode
from engine.credentials.keys import KeySource
from engine.credentials.names import check_profile, file_name, provider_name
from engine.credentials.sealing import seal, unseal
from engine.errors import CredentialError, CredentialMissing, CredentialUnreadable, HomeError
from engine.file_lock import file_lock
from engine.home import Home


class CredentialStore:
    """One profile's credentials ("" is the default). Blocking: the key may come from a keychain."""

    def __init__(self, home: Home, profile: str = "", keys: KeySource | None = None) -> None:
        self.profile = check_profile(profile)
        self.keys = keys or KeySource(home)
        self._home = home
        self._directory = home.credentials / "profiles" / profile if profile else home.credentials

    def __repr__(self) -> str:
        return f"CredentialStore({str(self._directory)!r})"

    def get(self, provider: str) -> Credential:
        """Raises CredentialMissing, CredentialUnreadable or KeychainError."""
        path = self._path(provider)
        grant = f"moat grant {provider}" + (f" --profile {self.profile}" if self.profile else "")
        try:
            box = self._home.read(path)
        except FileNotFoundError:
            where = f" in the profile {self.profile!r}" if self.profile else ""
            raise CredentialMissing(
                f"no credential is stored for {provider}{where}", remedy=f"Store one: {grant}"
            ) from None
        key = self.keys.load()
        data = unseal(key, box, self._label(provider))
        if data is None:
            data = unseal(key, box, b"")
        if data is None:
            raise CredentialUnreadable(
                f"{path} cannot be opened",
                detail="It was changed, cut, put in another's place, or sealed with another key.",
                remedy=f"Restore the file or its key, or store the credential again: {grant}",
            )
        try:
            credential = decode(data)
        except ValueError as error:
            raise CredentialUnreadable(
                f"{path} cannot be used: {error}", remedy=f"Store the credential again: {grant}"
            ) from None
        if credential.provider != provider:
            raise CredentialUnreadable(
                f"{path} holds the credential of another provider; files were swapped",
                remedy=f"Store the credential again: {grant}",
            )
        return credential

    def put(self, credential: Credential) -> None:
        """Store or replace, whole or not at all. Raises KeychainError or HomeError."""
        path = self._path(credential.provider)
        key = self.keys.load_or_create()
        self._home.write(path, seal(key, encode(credential), self._label(credential.provider)))

    def delete(self, provider: str) -> bool:
        """Whether there was one. Needs no key, so a credential that cannot be opened can be removed."""
        return self._home.remove(self._path(provider))

    def exists(self, provider: str) -> bool:
        return self._home.check(self._path(provider)).is_file()

    def stamp(self, provider: str) -> tuple[int, int, int] | None:
        """What differs after every `put`, without opening anything; None when there is no file."""
        try:
            found = os.lstat(self._home.check(self._path(provider)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HomeError(f"{self._path(provider)}: {error.strerror}") from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def lock(self, provider: str, timeout: float = 60.0) -> AbstractContextManager[None]:
        """Held by one process at a time, for what begins with `get` and ends with `put`. Blocking.

        Raises CredentialError after `timeout` seconds.
        """
        path = self._path(provider)
        late = CredentialError(
            f"another Moat is still renewing the credential of {provider}", remedy="Wait for it, or end it."
        )
        return file_lock(self._home, path.with_name(path.name + ".lock"), timeout, late)

    def stored(self) -> list[str]:
        """The providers that have a file, sorted. Opens none."""
        return sorted(
            provider
            for entry, is_directory in _listing(self._home, self._directory)
            if not is_directory and (provider := provider_name(entry))
        )

    def _path(self, provider: str) -> Path:
        return self._directory / file_name(provider)

    def _label(self, provider: str) -> bytes:
        return f"moat:v2:{self.profile}/{provider}".encode()


def profiles(home: Home) -> list[str]:
    """The named profiles that have a store, sorted; the default one is not among them."""
    found = []
    for entry, is_directory in _listing(home, home.credentials / "profiles"):
        with contextlib.suppress(CredentialError):  # not a name that a store of ours would have
            if is_directory:
                found.append(check_profile(entry))
    return sorted(found)


def _listing(home: Home, directory: Path) -> list[tuple[str, bool]]:
    """Name and whether it is a directory, of everything in `directory`; links are not followed."""
    home.check(directory)
    try:
        return [(e.name, stat.S_ISDIR(e.stat(follow_symlinks=False).st_mode)) for e in os.scandir(directory)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HomeError(f"{directory} cannot be listed: {error.strerror}") from error
