"""The system's keychain through `keyring`, with a time limit.

A keychain may not exist, be locked, or wait for a password prompt that nobody sees. Those are told
apart, because only "there is none" and "it holds no such entry" are answers; the rest is a failure.
`keyring` is imported here only: finding a backend costs a tenth of a second.
"""

from __future__ import annotations

import base64
import binascii
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from engine.errors import KeychainError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

ACCOUNT = "encryption-key"
_GO_MAC_PREFIX = "go-keyring-base64:"
_UNLOCK = "Unlock the keychain and try again, or set MOAT_KEYRING_BACKEND=file to keep the key in a file."


class Entry(msgspec.Struct, frozen=True):
    """What the keychain said. backend: its name, "" when this machine has none; text: "" when no entry."""

    backend: str
    text: str = ""

    def __repr__(self) -> str:
        return f"Entry(backend={self.backend!r}, text={'[REDACTED]' if self.text else ''!r})"


class Keychain:
    """The entry of Moat's key. timeout: seconds for each call, import included."""

    def __init__(self, environ: Mapping[str, str] = os.environ, timeout: float = 10.0) -> None:
        self.service = environ.get("MOAT_KEYRING_SERVICE") or "moat"
        self._timeout = timeout

    def read(self) -> Entry:
        """Raises KeychainError when it is locked, fails or does not answer in time."""

        def work() -> Entry:
            backend = _backend()
            if backend is None:
                return Entry("")
            return Entry(backend.name, backend.get_password(self.service, ACCOUNT) or "")

        entry = self._in_time(work, "read")
        return Entry(entry.backend, _without_prefix(entry.text))

    def write(self, text: str) -> None:
        """Raises KeychainError."""

        def work() -> Entry:
            if backend := _backend():
                backend.set_password(self.service, ACCOUNT, text)
            return Entry("")

        self._in_time(work, "written")

    def _in_time(self, work: Callable[[], Entry], verb: str) -> Entry:
        """Run `work` in a thread of its own; one that never returns is left behind, and dies with us."""
        outcome: list[Entry | Exception] = []

        def run() -> None:
            try:
                outcome.append(work())
            except Exception as error:
                outcome.append(error)

        thread = threading.Thread(target=run, name="moat-keychain", daemon=True)
        thread.start()
        thread.join(self._timeout)
        if not outcome:
            raise KeychainError(
                f"the keychain did not answer within {self._timeout:g} s",
                remedy=_UNLOCK,
                detail="It may be waiting for a password prompt.",
            )
        if isinstance(outcome[0], Exception):
            # Backends raise whatever their library raises; only the reading ones' words are repeated,
            # since a writing one has the key in its hands.
            said = f": {str(outcome[0])[:200]}" if verb == "read" and str(outcome[0]) else ""
            raise KeychainError(
                f"the keychain could not be {verb}",
                remedy=_UNLOCK,
                detail=f"{type(outcome[0]).__name__}{said}",
            )
        return outcome[0]


def _backend() -> KeyringBackend | None:
    """The backend `keyring` chose, None when it is one of its substitutes for having none.

    keyring's own scale: real keychains have priority 1 and more; `fail`, `null`, an empty chain and
    plain-text files have less.
    """
    import keyring

    backend = keyring.get_keyring()
    return backend if backend.priority >= 1 else None


def _without_prefix(text: str) -> str:
    """go-keyring on macOS stores the prefix and then base64 of the text it was given."""
    if not text.startswith(_GO_MAC_PREFIX):
        return text
    inner = text.removeprefix(_GO_MAC_PREFIX)
    try:
        decoded = base64.b64decode(inner, validate=True)
    except binascii.Error:
        return inner
    return inner if len(decoded) == 32 else decoded.decode("ascii", "replace")
