"""Other small secrets of this machine, sealed with the store's key: the audit log's signing key."""

from __future__ import annotations

from pathlib import Path

from engine.credentials.keys import KeySource
from engine.credentials.names import SUFFIX
from engine.credentials.sealing import seal, unseal
from engine.errors import CredentialUnreadable
from engine.home import Home


class SealedFile:
    """Files named `*.enc`, outside `runs/`: that is how a missing key is recognised as a lost one."""

    def __init__(self, home: Home, keys: KeySource) -> None:
        self._home = home
        self._keys = keys

    def write(self, path: Path, label: str, data: bytes) -> None:
        """Replace `path` whole. Raises KeychainError or HomeError; ValueError for a path of another kind."""
        if path.suffix != SUFFIX or path.is_relative_to(self._home.runs):
            raise ValueError(f"a sealed file is named *{SUFFIX} and lies outside runs/: {path}")
        key = self._keys.load_or_create()
        self._home.write(path, seal(key, data, _bound(label)))

    def read(self, path: Path, label: str) -> bytes:
        """Raises FileNotFoundError, CredentialUnreadable (also for another label) or KeychainError."""
        box = self._home.read(path)
        data = unseal(self._keys.load(), box, _bound(label))
        if data is None:
            raise CredentialUnreadable(
                f"{path} cannot be opened",
                detail="It was changed, cut, put in another's place, or sealed with another key.",
                remedy="Restore the file or its key.",
            )
        return data


def _bound(label: str) -> bytes:
    return b"moat:sealed:v1:" + label.encode()
