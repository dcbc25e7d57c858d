"""What leaves. No sockets."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.proxy.inject import forwardable, inject, is_placeholder, strip_placeholders, wants_upgrade

NONE: frozenset[str] = frozenset()
OURS = frozenset({"PLACEHOLDER"})
VALUE = "Bearer real"

_names = st.sampled_from(
    [
        b"Authorization",
        b"authorization",
        b"AUTHORIZATION",
        b"Host",
        b"Connection",
        b"X-Api-Key",
        b"Accept",
        b"TE",
    ]
)
_values = st.sampled_from(
    [b"Bearer own", b"PLACEHOLDER", b"close", b"Authorization", b"authorization, x-api-key", b""]
)
_headers = st.lists(st.tuples(_names, _values), max_size=8)


def values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name.lower()]


def test_a_missing_header_is_added() -> None:
    result = inject([(b"Accept", b"*/*")], "Authorization", VALUE, OURS)
    assert result.headers == [(b"Accept", b"*/*"), (b"Authorization", b"Bearer real")]
    assert not result.replaced_foreign


def test_http2_gets_a_lower_case_name() -> None:
    assert inject([(b"accept", b"*/*")], "X-Api-Key", "k", OURS).headers[-1] == (b"x-api-key", b"k")


def test_threat_12_the_clients_own_value_is_replaced_in_place_and_told() -> None:
    result = inject([(b"authorization", b"Bearer own"), (b"a", b"b")], "Authorization", VALUE, OURS)
    assert result.headers == [(b"authorization", b"Bearer real"), (b"a", b"b")]
    assert result.replaced_foreign


def test_threat_12_two_values_become_one() -> None:
    sent = [(b"Authorization", b"Bearer PLACEHOLDER"), (b"a", b"b"), (b"AUTHORIZATION", b"Bearer own")]
    result = inject(sent, "Authorization", VALUE, OURS)
    assert values(result.headers, b"authorization") == [b"Bearer real"]
    assert result.replaced_foreign


@pytest.mark.parametrize(
    "sent",
    [
        b"PLACEHOLDER",
        b"Bearer PLACEHOLDER",
        b"token PLACEHOLDER",
        b"Basic " + base64.b64encode(b"x:PLACEHOLDER"),
    ],
)
def test_a_placeholder_is_not_foreign(sent: bytes) -> None:
    assert not inject([(b"Authorization", sent)], "Authorization", VALUE, OURS).replaced_foreign


def test_an_empty_value_of_the_client_is_foreign() -> None:
    assert inject([(b"Authorization", b"")], "Authorization", VALUE, OURS).replaced_foreign


@pytest.mark.parametrize("value", ["", "a\r\nb: c", "a\0", " a", "a ", "a\n"])
def test_a_value_that_would_break_the_head_is_never_sent(value: str) -> None:
    with pytest.raises(ValueError, match="cannot stand"):
        inject([], "Authorization", value, OURS)


@given(_headers)
def test_threat_12_never_two_and_never_the_clients(headers: list[tuple[bytes, bytes]]) -> None:
    result = inject(forwardable(headers), "Authorization", VALUE, OURS)
    assert values(result.headers, b"authorization") == [b"Bearer real"]
    others = [(n, v) for n, v in result.headers if n.lower() != b"authorization"]
    assert others == [(n, v) for n, v in forwardable(headers) if n.lower() != b"authorization"]


def test_threat_13_connection_cannot_strip_the_credential() -> None:
    sent = [(b"Connection", b"Authorization, close"), (b"Authorization", b"Bearer own"), (b"Host", b"h")]
    result = inject(forwardable(sent), "Authorization", VALUE, OURS)
    assert result.headers == [(b"Host", b"h"), (b"Authorization", b"Bearer real")]


@pytest.mark.parametrize(
    "name",
    [
        "Proxy-Authorization",
        "Proxy-Connection",
        "proxy-anything",
        "Keep-Alive",
        "Upgrade",
        "HTTP2-Settings",
        "Connection",
        "TE",
    ],
)
def test_threat_13_what_ends_at_a_proxy_is_not_forwarded(name: str) -> None:
    assert forwardable([(name.encode(), b"x"), (b"a", b"b")]) == [(b"a", b"b")]


def test_threat_13_what_connection_names_is_not_forwarded() -> None:
    sent = [(b"connection", b"X-One ,x-two"), (b"Connection", b"X-Three"), (b"x-one", b"1"), (b"X-TWO", b"2")]
    assert forwardable([*sent, (b"x-three", b"3"), (b"x-four", b"4")]) == [(b"x-four", b"4")]


def test_connection_cannot_change_where_the_message_ends_or_goes() -> None:
    kept = [(b"Host", b"h"), (b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")]
    sent = [(b"Connection", b"host, content-length, transfer-encoding"), *kept]
    assert forwardable(sent) == kept


def test_te_trailers_survives_for_grpc() -> None:
    assert forwardable([(b"te", b"gzip, trailers;q=0.5")]) == [(b"te", b"trailers")]


def test_only_a_websocket_handshake_is_an_upgrade() -> None:
    handshake = [(b"Connection", b"keep-alive, Upgrade"), (b"Upgrade", b"WebSocket")]
    assert wants_upgrade(handshake)
    assert forwardable(handshake, upgrade=True) == [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    assert not wants_upgrade([(b"Connection", b"Upgrade"), (b"Upgrade", b"h2c")])
    assert not wants_upgrade([(b"Upgrade", b"websocket")])
    assert not wants_upgrade([*handshake, (b"Upgrade", b"h2c")])


def test_another_grants_placeholder_is_taken_out_but_not_a_real_value() -> None:
    others = frozenset({"x-api-key"})
    sent = [(b"X-Api-Key", b"PLACEHOLDER"), (b"authorization", b"PLACEHOLDER"), (b"a", b"PLACEHOLDER")]
    assert strip_placeholders(sent, others, OURS) == sent[1:]
    assert strip_placeholders([(b"X-Api-Key", b"own")], others, OURS) == [(b"X-Api-Key", b"own")]


def test_no_placeholders_means_none_is_one() -> None:
    assert not is_placeholder(b"PLACEHOLDER", NONE)
