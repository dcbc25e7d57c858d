"""A request head is read in one way or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.proxy.http1_head import MAX_FIELDS, MAX_HEAD, BadRequest, Head, check_fields, find_end, parse_head


def read(data: bytes) -> Head:
    end = find_end(data)
    assert end
    return parse_head(data[:end])


def request(*fields: bytes, line: bytes = b"POST /a HTTP/1.1") -> bytes:
    return b"\r\n".join([line, *fields]) + b"\r\n\r\n"


def test_an_ordinary_head() -> None:
    head = read(request(b"Host: a.test", b"X:  two  words\t", b"Content-Length: 3") + b"abc")
    assert (head.method, head.path, head.version, head.length) == ("POST", "/a", "HTTP/1.1", 3)
    assert head.fields == ((b"Host", b"a.test"), (b"X", b"two  words"), (b"Content-Length", b"3"))
    assert head.target is None
    assert not head.closes
    assert head.values(b"host") == ["a.test"]


def test_targets() -> None:
    assert read(request(line=b"CONNECT a.test:443 HTTP/1.1")).authority == "a.test:443"
    absolute = read(request(line=b"GET HTTP://u@A.test:80/p?q#f HTTP/1.1"))
    assert (absolute.target, absolute.path) == (("http", "u@A.test:80"), "/p?q")
    assert read(request(line=b"GET http://a.test HTTP/1.1")).path == "/"
    assert read(request(line=b"GET http://a.test?x=/y HTTP/1.1")).target == ("http", "a.test")
    assert read(request(line=b"OPTIONS * HTTP/1.1")).path == "*"


def test_bodies() -> None:
    assert read(request()).length == 0
    assert read(request(b"Transfer-Encoding: Chunked")).length is None


@pytest.mark.parametrize(
    ("fields", "line", "closes"),
    [
        ((), b"GET / HTTP/1.1", False),
        ((), b"GET / HTTP/1.0", True),
        ((b"Connection: Keep-Alive",), b"GET / HTTP/1.0", False),
        ((b"Connection: x, Close",), b"GET / HTTP/1.1", True),
    ],
)
def test_who_closes(fields: tuple[bytes, ...], line: bytes, closes: bool) -> None:
    assert read(request(*fields, line=line)).closes is closes


@pytest.mark.parametrize(
    "data",
    [
        request(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        request(b"Transfer-Encoding: chunked", b"Content-Length: 3"),
        request(b"Content-Length: 3", b"Content-Length: 3"),
        request(b"Content-Length: 3", b"content-length: 4"),
        request(b"Content-Length: 3, 3"),
        request(b"Content-Length: +3"),
        request(b"Content-Length: -3"),
        request(b"Content-Length: 0x3"),
        request(b"Content-Length: "),
        request(b"Transfer-Encoding: gzip, chunked"),
        request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        request(b"Transfer-Encoding: chunked, identity"),
        request(b"Transfer-Encoding: xchunked"),
        request(b"Transfer-Encoding:\x0bchunked"),
        request(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"),
        request(b"Transfer-Encoding : chunked"),
        request(b" Transfer-Encoding: chunked"),
        request(b"X: a", b" folded"),
        request(b"X: a", b"\tfolded"),
        request(b"no colon"),
        request(b": empty"),
        request(b"X\x00: a"),
        request(b"X: a\x00"),
        request(b"X: a\x01"),
        request(b"X: a\x7f"),
        request(b"X: a\nY: b"),
        request(b"X: a\rY: b"),
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n\r\n",
        request(line=b"GET  / HTTP/1.1"),
        request(line=b"GET / HTTP/1.1 "),
        request(line=b"GET / http/1.1"),
        request(line=b"GET / HTTP/1.2"),
        request(line=b"GET / HTTP/2.0"),
        request(line=b"PRI * HTTP/2.0"),
        request(line=b"GET /"),
        request(line=b"GET a.test/ HTTP/1.1"),
        request(line=b"G\x00T / HTTP/1.1"),
        request(line=b"(GET) / HTTP/1.1"),
        request(line=b"GET /\x01 HTTP/1.1"),
        request(line=b" GET / HTTP/1.1"),
        request(b"Content-Length: 5", line=b"CONNECT a.test:443 HTTP/1.1"),
        request(*[b"X: y"] * (MAX_FIELDS + 1)),
        b"\x16\x03\x01\x02\x00",
        b"\x00",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * MAX_HEAD,
    ],
)
def test_threat_25_what_two_readers_could_read_differently(data: bytes) -> None:
    with pytest.raises(BadRequest):
        read(data)


def test_a_head_may_come_in_pieces() -> None:
    data = request(b"Host: a.test")
    for cut in range(len(data)):
        assert find_end(data[:cut]) == 0
    assert find_end(data + b"rest\nwith\0anything") == len(data)


@given(st.binary(max_size=200))
def test_reading_anything_ends_in_a_head_or_a_bad_request(data: bytes) -> None:
    try:
        end = find_end(data)
        if end:
            head = parse_head(data[:end])
            check_fields(head.fields)
    except BadRequest:
        pass
