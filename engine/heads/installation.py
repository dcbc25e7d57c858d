"""Signing for the installation: one process at a time, with a key that is replaced every day.

    the successor is sealed beside ─▶ the log names it, signed by the key before ─▶ it takes its place

Killed before the second step, the successor is thrown away by whoever comes next; after it, the third
step is done by them. So there is always exactly one key that the log names and that can be opened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from engine.audit.gate import utc_now
from engine.audit.keys import installation_origin
from engine.audit.signer import Signer
from engine.credentials import KeySource
from engine.errors import HomeError
from engine.file_lock import file_lock
from engine.heads.sealed_key import HeldKey, SealedKey
from engine.heads.store import HeadsLog, heads_log
from engine.home import Home

KEY_LIFE = timedelta(days=1)
LOCK_SECONDS = 60.0  # another command may wait for a keychain prompt meanwhile


class Installation:
    """Use as `with Installation(home, keys) as installation`: nobody else signs during the block.

    origin: `moat/ID`; signer: the current key, once a transaction was begun. Raises KeychainError and
    CredentialUnreadable when the key cannot be opened (then nothing is made), HomeError, AuditError.
    """

    def __init__(self, home: Home, keys: KeySource, clock: Callable[[], datetime] = utc_now) -> None:
        self._home = home
        self._sealed = SealedKey(home, keys)
        self._clock = clock
        self.signer: Signer
        self._held: list[HeldKey] = []
        self._key0 = b""
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.enter_context(_locked(self._home))
            self._held = self._sealed.load()
            self._key0 = self._sealed.pin(self._held)
            self.origin = installation_origin(self._key0)
            self._stack = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[HeadsLog]:
        """What is appended in the block is durable after it, under a head signed by the current key."""
        now = self._clock()
        unnumbered = all(key.number < 0 for key in self._held)
        with heads_log(self._home, self.origin, self._key0, now, create=unnumbered) as log:
            current = self._settle(log)
            changes = self._is_old(log, now)
            if changes:
                following = HeldKey(Signer.generate(), log.key.number + 1)
                self._sealed.prepare(following)
                log.change_key(current.signer, following.signer)
                current = following
            self.signer = current.signer
            yield log
            log.sign(current.signer)
        if changes:
            self._sealed.promote()
        elif current.number < 0:
            current = HeldKey(current.signer, 0)
            self._sealed.number(current)
        self._held = [current]

    def _settle(self, log: HeadsLog) -> HeldKey:
        """The key that the log names; what a killed command left beside it is finished or undone."""
        current = self._sealed.choose(self._held, log.public_key)
        if self._sealed.has_next():
            if current is self._held[-1]:
                self._sealed.promote()
            else:
                self._sealed.discard()
        return current

    def _is_old(self, log: HeadsLog, now: datetime) -> bool:
        # By the clock alone: the log's own times stand still after the clock was set back. A key from a
        # far future is of an age that nobody knows.
        return abs(now - datetime.fromisoformat(log.key.made)) >= KEY_LIFE


def _locked(home: Home) -> contextlib.AbstractContextManager[None]:
    """One process at a time signs for the installation."""
    late = HomeError(
        f"another Moat has been signing for {LOCK_SECONDS:g} seconds",
        remedy="It may wait for a keychain prompt; answer that, or end it.",
    )
    return file_lock(home, home.heads / ".lock", LOCK_SECONDS, late)
