"""A home of its own, a keychain in memory, and no way to the machine's real one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend

from engine.home import Home


class MemoryKeychain(KeyringBackend):
    """priority 5, as the real ones have. `failure` is raised by every call while it is set."""

    priority = 5.0  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.failure: Exception | None = None
        self.calls = 0

    def get_password(self, service: str, username: str) -> str | None:
        self._called()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._called()
        self.entries[service, username] = password

    def _called(self) -> None:
        self.calls += 1
        if self.failure:
            raise self.failure


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture(autouse=True)
def keychain(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeychain]:
    for name in ("MOAT_KEYRING_BACKEND", "MOAT_KEYRING_SERVICE"):
        monkeypatch.delenv(name, raising=False)
    before = sys.modules["keyring.core"]._keyring_backend
    chain = MemoryKeychain()
    keyring.set_keyring(chain)
    yield chain
    sys.modules["keyring.core"]._keyring_backend = before
