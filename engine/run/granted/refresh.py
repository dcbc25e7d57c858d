"""OAuth credentials kept alive: refreshed on the host before they expire, into the store, for every run.

Several runs may have the same credential, and a refresh token is often good for one use: whoever refreshes
holds the store's lock for it and looks at the store again first. The new pair is on the disk before it is
used. What went wrong is kept with the credential, so that it can be seen where grants are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec

from engine.credentials import Credential, CredentialStore
from engine.errors import CredentialMissing, GrantError
from engine.events import timestamp
from engine.grants import FoundToken, Provider, find_token
from engine.grants.route import Route

if TYPE_CHECKING:
    from engine.proxy.upstream_proxy import UpstreamProxy
    from engine.run.spec import RunSpec

AHEAD = timedelta(minutes=5)
AGAIN = timedelta(minutes=1)  # after an attempt that failed for the time being, or a token for minutes
# In a credential's metadata; all begin alike, and go together when another value comes.
TOKEN, REFRESHED_AT = "refresh_token", "refresh_done_at"
FAILED, FAILED_AT, REFUSED = "refresh_failed", "refresh_failed_at", "refresh_refused"

type Router = Callable[[str, int], Route]  # host, port


def router(spec: RunSpec) -> Router:
    """As the run's own requests go."""

    def route(host: str, port: int) -> Route:
        for entry in spec.connect_to:
            if entry.host in ("", host) and entry.port in (0, port):
                return Route((entry.address or host, entry.to_port or port), spec.upstream_ca)
        return Route(None, spec.upstream_ca, _proxy_for(spec.upstream_proxy, host, port))

    return route


def _proxy_for(proxy: UpstreamProxy | None, host: str, port: int) -> str:
    if proxy is None or not proxy.takes(host, port):
        return ""
    user, colon, password = proxy.credentials.partition(":")
    said = f"{quote(user, safe='')}{colon}{quote(password, safe='')}@" if proxy.credentials else ""
    return f"http://{said}{f'[{proxy.host}]' if ':' in proxy.host else proxy.host}:{proxy.port}"


def straight(host: str, port: int) -> Route:
    return Route()


def with_refresh(credential: Credential, found: FoundToken) -> Credential:
    """`credential` with what belongs to the value that was found; what belonged to an older one goes."""
    kept = {name: text for name, text in credential.metadata.items() if not name.startswith("refresh_")}
    if found.refresh_token:
        kept[TOKEN] = found.refresh_token
    return msgspec.structs.replace(
        credential, token=found.value, expires_at=found.expires_at, metadata=kept, created_at=timestamp()
    )


def is_due(item: Provider, credential: Credential, now: datetime | None = None) -> bool:
    now = now or datetime.now(UTC)
    known = credential.metadata
    if item.refresh is None or TOKEN not in known or REFUSED in known or not credential.expires_at:
        return False
    last = known.get(FAILED_AT) or known.get(REFRESHED_AT)
    if last and now - datetime.fromisoformat(last) < AGAIN:
        return False
    return datetime.fromisoformat(credential.expires_at) - now <= AHEAD


def refreshed(store: CredentialStore, item: Provider, router: Router) -> Credential:
    """What the store has once it was refreshed, by us or by another run meanwhile. Blocking, for as long as
    the service takes.

    Raises GrantError, and then the store says why too; CredentialMissing when it was revoked.
    """
    from engine.grants.refreshing import RefreshRefused, refresh

    with store.lock(item.name):
        credential = store.get(item.name)
        if not is_due(item, credential):
            return credential
        if found := _renewed_elsewhere(item, credential):
            renewed = with_refresh(credential, found)
            store.put(renewed)
            return renewed
        assert item.refresh is not None
        parts = urlsplit(item.refresh.url)
        used = credential.metadata[TOKEN]
        try:
            new = refresh(item, used, router(parts.hostname or "", parts.port or 443))
        except GrantError as error:
            _note(store, item, used, error, refused=isinstance(error, RefreshRefused))
            raise GrantError(
                f"the credential of {item.name} could not be refreshed: {error.what}",
                detail=error.detail,
                remedy=_remedy(store, item),
            ) from None
        ends = timestamp(datetime.now(UTC) + timedelta(seconds=new.lifetime)) if new.lifetime else ""
        renewed = with_refresh(credential, FoundToken(new.token, "", new.refresh_token or used, ends))
        if not _is_replaced(store, item, used):
            renewed.metadata[REFRESHED_AT] = timestamp()
            store.put(renewed)
            return renewed
        return store.get(item.name)


def refresh_if_due(store: CredentialStore, item: Provider, router: Router) -> str:
    """What went wrong, "" for nothing; the store has what is newest then. Blocking."""
    try:
        if is_due(item, store.get(item.name)):
            refreshed(store, item, router)
    except GrantError as error:
        return str(error)
    return ""


def is_later(found: FoundToken, stored: Credential) -> bool:
    """Whether the service's own tool has refreshed since; a value that never says so counts as new."""
    if not found.expires_at or not stored.expires_at:
        return True
    return datetime.fromisoformat(found.expires_at) > datetime.fromisoformat(stored.expires_at)


def _renewed_elsewhere(item: Provider, credential: Credential) -> FoundToken | None:
    """The service's own tool may have refreshed already, and asking again would log it out."""
    said = credential.metadata.get("source", "")
    sources = tuple(each for each in item.sources if each.refresh and str(each) == said)
    found = find_token(msgspec.structs.replace(item, sources=sources), os.environ) if sources else None
    if found is None or found.value == credential.token or not is_later(found, credential):
        return None
    return None if is_due(item, with_refresh(credential, found)) else found


def _is_replaced(store: CredentialStore, item: Provider, used: str) -> bool:
    """Whether a person granted another one while the service was asked. Raises CredentialMissing."""
    return store.get(item.name).metadata.get(TOKEN) != used


def _note(store: CredentialStore, item: Provider, used: str, error: GrantError, *, refused: bool) -> None:
    try:
        if _is_replaced(store, item, used):
            return
        credential = store.get(item.name)
    except CredentialMissing:
        return
    said = {FAILED: error.what, FAILED_AT: timestamp()} | ({REFUSED: "yes"} if refused else {})
    store.put(msgspec.structs.replace(credential, metadata=credential.metadata | said))


def _remedy(store: CredentialStore, item: Provider) -> str:
    flag = f" --profile {store.profile}" if store.profile else ""
    return f"Replace it: moat grant {item.name}{flag}"
