"""Which bodies are searched, compressed ones, bombs, heads, and what is asked of an upstream."""

from __future__ import annotations

import gzip
import random
import zlib

import brotli
import pytest
import zstandard

from engine.proxy.codings import coding
from engine.proxy.inject import HeaderList
from engine.proxy.needles import Needles
from engine.proxy.scrub import Lexicon
from engine.proxy.scrub_body import is_text
from engine.proxy.scrub_response import ResponseScrubber, UnreadableBody, asked

TOKEN = b"ghp_CANARY4d1f0e9b7c6a5f3e2d1c0b9a8f7e6d5c"
LEXICON = Lexicon(Needles([("github", TOKEN.decode())]))
MASKED = b"x" * len(TOKEN)
TEXT = b'{"a": "' + TOKEN + b'", "b": "' + b"many words " * 3000 + b'"}' + TOKEN


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


CODINGS = {
    "gzip": ("gzip", gzip.compress, gzip.decompress),
    "gzip, two members": ("gzip", lambda d: gzip.compress(d[:100]) + gzip.compress(d[100:]), gzip.decompress),
    "deflate": ("deflate", zlib.compress, zlib.decompress),
    "deflate, raw": ("deflate", _raw_deflate, zlib.decompress),
    "br": ("br", brotli.compress, brotli.decompress),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress, _unzstd),
}


def response(
    fields: HeaderList, body: bytes, size: int = 1000, status: int = 200
) -> tuple[ResponseScrubber, HeaderList, list[bytes]]:
    scrubber = ResponseScrubber(LEXICON)
    _, out = scrubber.head("GET", status, b"OK", fields)
    pieces = [scrubber.body(body[at : at + size]) for at in range(0, len(body), size)]
    return scrubber, out, [*pieces, scrubber.end()]


@pytest.mark.parametrize("size", [1, 700, 10**6])
@pytest.mark.parametrize("name", CODINGS)
def test_threat_14_compressed_bodies_are_searched(name: str, size: int) -> None:
    said, compress, decompress = CODINGS[name]
    body = compress(TEXT)
    fields = [
        (b"content-type", b"application/json"),
        (b"content-encoding", said.encode()),
        (b"etag", b'"1"'),
    ]
    scrubber, out, pieces = response([*fields, (b"Content-Length", b"%d" % len(body))], body, size)
    assert out == fields  # the length is not known beforehand
    assert decompress(b"".join(pieces)) == TEXT.replace(TOKEN, MASKED)
    assert scrubber.hits == {"github": 2}


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_each_event_of_a_compressed_stream_goes_on_at_once(name: str) -> None:
    _, encoder = coding(name)
    decoder, _ = coding(name)
    scrubber = ResponseScrubber(LEXICON)
    fields = [(b"content-type", b"text/event-stream"), (b"content-encoding", name.encode())]
    scrubber.head("GET", 200, b"", fields)
    for number in range(5):
        event = b"data: event %d\n\n" % number
        out = scrubber.body(encoder.encode(event) + encoder.flush())
        assert b"".join(decoder.decode(out)) == event


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_compressed_body_that_was_cut_stays_one(cut: int) -> None:
    body = gzip.compress(random.Random(1).randbytes(3000).hex().encode())[:-cut]
    fields = [(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")]
    _, _, pieces = response(fields, body)
    with pytest.raises(EOFError):
        gzip.decompress(b"".join(pieces))


def test_an_empty_body_that_claims_a_coding() -> None:
    fields = [(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")]
    assert response(fields, b"")[2] == [b""]


@pytest.mark.parametrize(
    ("name", "bomb"),
    [
        ("br", brotli.compress(bytes(300_000_000), quality=5)),
        ("zstd", zstandard.ZstdCompressor().compress(bytes(300_000_000))),
    ],
    ids=["br", "zstd"],
)
def test_threat_27_what_expands_without_measure_is_cut(name: str, bomb: bytes) -> None:
    scrubber = ResponseScrubber(LEXICON)
    scrubber.head("GET", 200, b"", [(b"content-type", b"text/plain"), (b"content-encoding", name.encode())])
    with pytest.raises(UnreadableBody, match="expands"):
        scrubber.body(bomb)


def test_threat_27_what_says_nothing_for_ever_is_cut() -> None:
    scrubber = ResponseScrubber(LEXICON)
    scrubber.head("GET", 200, b"", [(b"content-encoding", b"gzip")])
    scrubber.body(zlib.compressobj(9, zlib.DEFLATED, 31).flush(zlib.Z_SYNC_FLUSH))
    for _ in range(20):
        scrubber.body(b"\0\0\0\xff\xff" * 10_000)
    with pytest.raises(UnreadableBody, match="without saying anything"):
        scrubber.body(b"\0\0\0\xff\xff" * 10_000)


def test_threat_27_a_gzip_bomb_passes_as_the_bomb_it_is() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(packer.compress(bytes(1_000_000)) for _ in range(50)), packer.flush()])
    fields = [(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")]
    _, _, pieces = response(fields, bomb, 16384)
    assert max(map(len, pieces)) < 256 * 1024
    assert gzip.decompress(b"".join(pieces)) == bytes(50_000_000)


@pytest.mark.parametrize(
    "fields",
    [
        [(b"content-type", b"text/html"), (b"content-encoding", b"compress")],
        [(b"content-encoding", b"gzip, br"), (b"content-type", b"application/json")],
        [(b"content-type", b"application/json"), (b"transfer-encoding", b"gzip, chunked")],
    ],
)
def test_what_cannot_be_read_is_not_passed_on(fields: HeaderList) -> None:
    with pytest.raises(UnreadableBody):
        ResponseScrubber(LEXICON).head("GET", 200, b"OK", fields)


def test_what_is_not_in_its_coding_is_not_passed_on() -> None:
    scrubber = ResponseScrubber(LEXICON)
    scrubber.head("GET", 200, b"OK", [(b"content-type", b"text/html"), (b"content-encoding", b"gzip")])
    with pytest.raises(UnreadableBody):
        scrubber.body(b"plain " + TOKEN)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("text/plain", True),
        ("TEXT/HTML; charset=utf-8", True),
        ("application/json", True),
        ("application/vnd.github.v3+json; charset=utf-8", True),
        ("application/problem+xml", True),
        ("image/svg+xml", True),
        ("application/x-www-form-urlencoded", True),
        ("application/grpc+proto", True),
        ("application/x-ndjson", True),
        ("application/x-git-upload-pack-advertisement", True),
        ("application/graphql-response+json", True),
        ("multipart/byteranges; boundary=a", True),
        ("image/png", False),
        ("video/mp4", False),
        ("application/x-git-upload-pack-result", False),
        ("application/octet-stream", None),
        ("application/zip", None),
        ("", None),
    ],
)
def test_types(kind: str, text: bool | None) -> None:
    assert is_text(kind) is text


@pytest.mark.parametrize(
    ("kind", "begin", "searched"),
    [
        (b"application/octet-stream", b"key: ", True),
        (b"application/octet-stream", b"PK\x03\x04\0\0", False),
        (b"image/png", b"", False),
        (b"text/plain", b"\0\0", True),
        (b"", b"", True),
    ],
)
def test_threat_14_binary_passes_as_it_is(kind: bytes, begin: bytes, searched: bool) -> None:
    fields = [(b"content-type", kind)] if kind else []
    fields.append((b"content-length", b"%d" % (len(begin) + len(TOKEN))))
    scrubber, out, pieces = response(fields, begin + TOKEN)
    assert out == fields
    assert b"".join(pieces) == begin + (MASKED if searched else TOKEN)
    assert scrubber.verbatim is not searched


@pytest.mark.parametrize("size", [40, 1000])
@pytest.mark.parametrize("kind", [b"application/octet-stream", b"application/x-tar", b""])
def test_threat_14_a_coded_body_of_another_type_is_read_to_tell(kind: bytes, size: int) -> None:
    fields = [(b"content-encoding", b"gzip")] + ([(b"content-type", kind)] if kind else [])
    packed = gzip.compress(b"file\0\0\0" + TOKEN)
    assert b"".join(response(fields, packed, size)[2]) == packed
    text = gzip.decompress(b"".join(response(fields, gzip.compress(b"file: " + TOKEN), size)[2]))
    assert text == b"file: " + MASKED


def test_servers_that_name_no_coding_by_a_word() -> None:
    fields = [(b"content-type", b"application/json"), (b"content-encoding", b"utf-8")]
    assert b"".join(response(fields, TOKEN)[2]) == MASKED


def test_heads_and_trailers() -> None:
    scrubber = ResponseScrubber(LEXICON)
    fields = [(b"X-Echo", b"a " + TOKEN), (b"Location", b"/?t=%67" + TOKEN[1:]), (b"Content-Length", b"0")]
    reason, out = scrubber.head("HEAD", 200, b"OK " + TOKEN, fields)
    assert reason == b"OK " + MASKED
    assert out == [(b"X-Echo", b"a " + MASKED), (b"Location", b"/?t=" + b"xx" + MASKED), fields[2]]
    assert scrubber.trailers([(b"grpc-message", TOKEN), (b"a", b"b")]) == [
        (b"grpc-message", MASKED),
        (b"a", b"b"),
    ]
    assert scrubber.hits == {"github": 4}


@pytest.mark.parametrize(
    ("sent", "asked_for"),
    [
        ("gzip, deflate, br, zstd", "gzip, deflate, br, zstd"),
        ("gzip;q=1.0, compress, *;q=0.5", "gzip;q=1.0"),
        ("dcb", "identity"),
    ],
)
def test_only_readable_codings_are_asked_for(sent: str, asked_for: str) -> None:
    assert asked([(b"Accept-Encoding", sent.encode())]) == [(b"Accept-Encoding", asked_for.encode())]


def test_what_else_is_asked_for() -> None:
    ranged = [(b"range", b"bytes=0-9"), (b"accept-encoding", b"gzip")]
    assert asked(ranged) == [ranged[0], (b"accept-encoding", b"identity")]
    assert asked([(b"sec-websocket-extensions", b"permessage-deflate"), (b"a", b"b")]) == [(b"a", b"b")]
    assert asked([(b"grpc-accept-encoding", b"gzip,identity")]) == [(b"grpc-accept-encoding", b"identity")]
