"""One credential, and its JSON as both implementations of Moat write it (formats.md, "Credential file").

    {"provider", "token", "scopes"?, "expires_at", "created_at", "metadata"?}

Go writes its zero time for "never expires" and nanoseconds elsewhere; here "" means never, and times are
trimmed to microseconds.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.events import timestamp

_GO_ZERO_TIME = "0001-01-01T00:00:00Z"


class Credential(msgspec.Struct, frozen=True):
    """created_at and expires_at: RFC 3339 UTC, "" when it does not expire.

    metadata: e.g. `source`, `account`, a role's region. Its values are as private as the token.
    """

    provider: str
    token: str
    created_at: str
    expires_at: str = ""
    scopes: tuple[str, ...] = ()
    metadata: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Credential({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """What may be shown; msgspec's own would print the token in a rich traceback."""
        return [
            ("provider", self.provider),
            ("token", "[REDACTED]"),
            ("created_at", self.created_at),
            ("expires_at", self.expires_at),
            ("scopes", self.scopes),
            ("metadata", sorted(self.metadata)),
        ]


class _Stored(msgspec.Struct, frozen=True):
    """As on disk. Go writes null for an empty slice or map that it does not omit."""

    provider: str
    token: str
    expires_at: str = ""
    created_at: str = ""
    scopes: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None


def encode(credential: Credential) -> bytes:
    fields: dict[str, object] = {"provider": credential.provider, "token": credential.token}
    if credential.scopes:
        fields["scopes"] = credential.scopes
    fields["expires_at"] = credential.expires_at or _GO_ZERO_TIME
    fields["created_at"] = credential.created_at or _GO_ZERO_TIME
    if credential.metadata:
        fields["metadata"] = credential.metadata
    return msgspec.json.encode(fields)


def decode(data: bytes) -> Credential:
    """Raises ValueError whose text holds no value of the record."""
    try:
        stored = msgspec.json.decode(data, type=_Stored)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise ValueError("it does not hold a credential record") from None
    if not stored.token:
        raise ValueError("it holds an empty token")
    return Credential(
        provider=stored.provider,
        token=stored.token,
        created_at=_moment(stored.created_at),
        expires_at=_moment(stored.expires_at),
        scopes=stored.scopes or (),
        metadata=stored.metadata or {},
    )


def _moment(text: str) -> str:
    if text in ("", _GO_ZERO_TIME):
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("it holds a time that is not RFC 3339") from None
    if moment.tzinfo is None:
        raise ValueError("it holds a time without a zone")
    return timestamp(moment)
