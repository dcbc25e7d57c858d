"""A new OAuth access token for a refresh token (RFC 6749 §6). Blocking.

The refresh token goes to the token endpoint of the provider's own row and nowhere else. What comes back may
hold another refresh token, and then the old one is worth nothing any more: keep it before anything else.
"""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec

from engine.errors import GrantError
from engine.grants.https import Unreachable, ask
from engine.grants.route import Route
from engine.grants.table import Provider
from engine.grants.tokens import check_token

TIMEOUT = 15.0  # seconds; the credential is locked meanwhile
_REFUSED = (400, 401, 403)  # RFC 6749 §5.2 has 400 and 401


class Refreshed(msgspec.Struct, frozen=True):
    """refresh_token: "" when the old one stays good. lifetime: seconds, 0 when that is not said."""

    token: str
    refresh_token: str = ""
    lifetime: int = 0

    def __repr__(self) -> str:
        return f"Refreshed(lifetime={self.lifetime})"


class RefreshRefused(GrantError):
    """The service will not refresh with this refresh token, however often it is asked."""


class _Answer(msgspec.Struct):
    access_token: str
    refresh_token: str | None = None
    expires_in: float | str | None = None  # a number, and in some services' answers its digits


def refresh(provider: Provider, refresh_token: str, route: Route | None = None) -> Refreshed:
    """Raises RefreshRefused, or GrantError when the endpoint cannot be asked now. Neither holds a value."""
    request = provider.refresh
    if request is None:
        raise RefreshRefused(f"tokens of {provider.name} cannot be refreshed")
    fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    if request.client_id:
        fields["client_id"] = request.client_id
    if request.body == "json":
        kind, body = "application/json", msgspec.json.encode(fields)
    else:
        kind, body = "application/x-www-form-urlencoded", urlencode(fields).encode()
    try:
        status, answer = ask(
            request.url, {"Content-Type": kind}, timeout=TIMEOUT, method="POST", body=body, route=route
        )
    except Unreachable as error:
        raise GrantError(
            f"the token endpoint of {provider.name} cannot be reached", detail=str(error)
        ) from None
    if status in _REFUSED:
        raise RefreshRefused(f"{provider.title} refused to refresh the token (status {status})")
    if not 200 <= status < 300:
        raise GrantError(f"the token endpoint of {provider.name} answered {status}")
    try:
        found = msgspec.json.decode(answer, type=_Answer)
        token, another = check_token(found.access_token), check_token(found.refresh_token or refresh_token)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, GrantError):
        raise GrantError(f"the token endpoint of {provider.name} answered without a usable token") from None
    lifetime = _seconds(found.expires_in)
    return Refreshed(token, "" if another == refresh_token else another, lifetime)


def _seconds(said: float | str | None) -> int:
    """0 for what is no lifetime. Never an error: the refresh token that was shown is used up by now."""
    try:
        seconds = float(said or 0)
    except ValueError:
        return 0
    return int(seconds) if 0 < seconds < 1e10 else 0
