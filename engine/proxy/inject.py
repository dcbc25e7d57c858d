"""What leaves: the client's header fields without those that end at a proxy, with one credential. Pure.

Stripping comes before injecting, so nothing the client lists in `Connection` can remove a credential,
and nothing it lists can carry one past.
"""

from __future__ import annotations

import re

import msgspec

from engine.proxy.placeholders import decode_basic, placeholders_in

type HeaderList = list[tuple[bytes, bytes]]

# RFC 9110 §7.6.1 and what clients still send to proxies. Transfer-Encoding frames the body that is
# streamed through, so it stays; HTTP2-Settings belongs to the h2c upgrade, which is not offered.
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"te", b"upgrade", b"http2-settings"})
# A client that names these in Connection would change where the message ends or where it goes.
_NEVER_BY_NAME = frozenset({b"host", b"content-length", b"transfer-encoding", b"trailer"})
_BASIC = re.compile(rb"basic[ \t]+([A-Za-z0-9+/=_-]+)\s*\Z", re.IGNORECASE)
_VALUE = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\Z")


class Injected(msgspec.Struct, frozen=True):
    """headers: what to send. replaced_foreign: the client's own value, no placeholder, was replaced."""

    headers: HeaderList
    replaced_foreign: bool


def wants_upgrade(headers: HeaderList) -> bool:
    """Whether this is a WebSocket handshake, the one protocol switch that is passed on."""
    values = [value.strip().lower() for name, value in headers if name.lower() == b"upgrade"]
    return values == [b"websocket"] and b"upgrade" in _connection_options(headers)


def forwardable(headers: HeaderList, *, upgrade: bool = False) -> HeaderList:
    """Without hop-by-hop and Proxy-* fields and those named in Connection; order and spelling are kept.

    `upgrade` puts the one Upgrade and Connection field of a WebSocket handshake back.
    `TE: trailers` survives, because gRPC servers insist on it.
    """
    dropped = _HOP_BY_HOP | (_connection_options(headers) - _NEVER_BY_NAME)
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() not in dropped and not name.lower().startswith(b"proxy-")
    ]
    if any(name.lower() == b"te" and _lists_trailers(value) for name, value in headers):
        kept.append((b"te", b"trailers"))
    if upgrade:
        kept += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    return kept


def returnable(headers: HeaderList) -> HeaderList:
    """What of a response's fields goes to the agent: none that is the proxy's to say, and no Alt-Svc, which
    would lead the client past the proxy.
    """
    return [
        (name, value)
        for name, value in headers
        if not (lower := name.lower()).startswith(b"proxy-") and lower != b"alt-svc"
    ]


def inject(headers: HeaderList, header: str, value: str, placeholders: frozenset[str]) -> Injected:
    """Put `value` under `header`, exactly once, at the place of the client's first own one, or last.

    placeholders: those of all grants of the run. A header that holds one and is not the injected header
    is dropped if it could be a credential of another grant for this host: see `strip_placeholders`.
    Raises ValueError when `value` cannot stand in a header.
    """
    raw_name, raw_value = header.encode("ascii"), value.encode("ascii")
    if not _VALUE.match(raw_value):
        raise ValueError("a credential that cannot stand in a header")
    wanted = raw_name.lower()
    out: HeaderList = []
    placed = foreign = False
    for name, sent in headers:
        if name.lower() != wanted:
            out.append((name, sent))
            continue
        foreign = foreign or not is_placeholder(sent, placeholders)
        if not placed:
            out.append((name, raw_value))
            placed = True
    if not placed:
        # HTTP/2 wants lower case and HTTP/1 does not care
        out.append((wanted if _is_lower(headers) else raw_name, raw_value))
    return Injected(out, foreign)


def strip_placeholders(
    headers: HeaderList, others: frozenset[str], placeholders: frozenset[str]
) -> HeaderList:
    """Without those of `others` (lower-case names of credential headers) that hold only a placeholder.

    api.anthropic.com refuses a request that has a good Authorization and a dummy x-api-key.
    """
    return [
        (name, value)
        for name, value in headers
        if name.lower().decode("latin-1") not in others or not is_placeholder(value, placeholders)
    ]


def is_placeholder(value: bytes, placeholders: frozenset[str]) -> bool:
    """Whether a credential header's value is a stand-in, plain, after a scheme, or inside Basic."""
    texts = [value.decode("latin-1")]
    if basic := _BASIC.match(value):
        texts.append(decode_basic(basic.group(1)))
    return any(placeholders_in(text, placeholders) for text in texts)


def _connection_options(headers: HeaderList) -> frozenset[bytes]:
    return frozenset(
        option.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for option in value.split(b",")
        if option.strip()
    )


def _lists_trailers(value: bytes) -> bool:
    return any(part.split(b";")[0].strip().lower() == b"trailers" for part in value.split(b","))


def _is_lower(headers: HeaderList) -> bool:
    return all(name == name.lower() for name, _ in headers)
