"""A run's credentials kept those of the store: what a person grants again counts from then on.

Three things are looked at off the requests' path: whether a credential's file has changed, and whether its
OAuth token is about to expire, every LOOK_EVERY seconds; and what the command or file that gave it (`gh auth
token`) says now, every REREAD_EVERY. A new
value goes into the store, so that other runs have it too, and from there into the proxy. A credential
that was revoked stays with the run until its end, as is promised where it is revoked.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import msgspec

from engine.config import GrantWish
from engine.credentials import Credential, CredentialStore
from engine.errors import MoatError
from engine.grants import Provider, find_token
from engine.proxy import Injection
from engine.run.granted.refresh import Router, is_due, is_later, refreshed, straight, with_refresh

LOOK_EVERY = 2.0  # seconds
REREAD_EVERY = 30 * 60.0  # seconds

type Stamp = tuple[int, int, int]


class Opened(msgspec.Struct):
    """One grant of the run as it was opened. stamp: of its file, taken before it was read."""

    item: Provider
    wish: GrantWish
    stamp: Stamp | None
    credential: Credential

    def __repr__(self) -> str:
        return f"Opened({self.wish})"


class Renewal:
    """Holds credential values: never logged, never encoded."""

    def __init__(
        self,
        store: CredentialStore,
        opened: list[Opened],
        build: Callable[[Provider, Credential, GrantWish], Injection],
        router: Router = straight,
    ) -> None:
        self._store = store
        self._router = router
        self._opened = opened
        self._build = build
        self._said: set[str] = set()

    def __repr__(self) -> str:
        return f"Renewal({', '.join(str(each.wish) for each in self._opened)})"

    async def watch(
        self, renewed: Callable[[Injection], Awaitable[None]], notice: Callable[[str], None]
    ) -> None:
        """Until cancelled. renewed: takes each new value; notice: told once of each grant's trouble."""
        loop = asyncio.get_running_loop()
        reread = loop.time() + REREAD_EVERY
        while self._opened:
            await asyncio.sleep(LOOK_EVERY)
            again = loop.time() >= reread
            if again:
                reread = loop.time() + REREAD_EVERY
            for each in self._opened:
                try:
                    injection = await asyncio.to_thread(self._look, each, again)
                    if injection is not None:
                        await renewed(injection)
                        self._said.discard(each.item.name)
                except (MoatError, OSError) as error:
                    if each.item.name not in self._said:
                        self._said.add(each.item.name)
                        notice(f"the run keeps the credential of {each.item.name} that it has: {error}")

    def _look(self, each: Opened, again: bool) -> Injection | None:
        """The grant with its new value; None when nothing is new. Blocking."""
        if again:
            self._reread(each)
        if is_due(each.item, each.credential):
            refreshed(self._store, each.item, self._router)
        stamp = self._store.stamp(each.item.name)
        if stamp is None or stamp == each.stamp:
            return None
        each.stamp = stamp  # also of a file that cannot be opened: it is tried again when it changes
        credential = self._store.get(each.item.name)
        changed = credential.token != each.credential.token
        injection = self._build(each.item, credential, each.wish) if changed else None
        each.credential = credential
        return injection

    def _reread(self, each: Opened) -> None:
        """Ask the command, or look into the file, that the credential came from; what has nothing now changes
        nothing.
        """
        living = (one for one in each.item.sources if one.command or one.file)
        source = next((one for one in living if str(one) == _source(each.credential)), None)
        if source is None:
            return
        found = find_token(msgspec.structs.replace(each.item, sources=(source,)), os.environ)
        if found is None or found.value == each.credential.token:
            return
        with self._store.lock(each.item.name):
            stored = self._store.get(each.item.name)
            ours = _source(stored) == _source(
                each.credential
            )  # else a person has granted another one meanwhile
            if ours and is_later(found, stored):
                self._store.put(with_refresh(stored, found))


def _source(credential: Credential) -> str:
    return credential.metadata.get("source", "")
