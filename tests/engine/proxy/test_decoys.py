"""A decoy in what an agent sends is found in any spelling and any pieces; what is clean passes at once."""

from __future__ import annotations

import base64
import gzip
import json
import os
import time
import urllib.parse
import zlib

import pytest
import zstandard

from engine.proxy.decision import RequestHead
from engine.proxy.decoys import Decoys, DecoySeen, RequestWatch
from engine.proxy.destination import Destination
from engine.proxy.inject import HeaderList
from engine.proxy.spec import Decoy

KEY_ID = "AKIA4QZ7RW2TK5PYX3LM"
SECRET = "wJ7r/Xb+Tn0kLm3QpVz9", "Yc5HdE8sGfA2iUo6/BtN"
DECOYS = Decoys([Decoy("~/.aws/credentials", (KEY_ID, *SECRET)), Decoy("~/.env", ("sk_live_9fK2mQ7xTz4w",))])
FILE = f"[production]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {''.join(SECRET)}\n".encode()
CLEAN = b"".join(b"line %d of something long and harmless AKIA sk_live_\n" % n for n in range(40))


def watch(fields: HeaderList | None = None, found: list[str] | None = None) -> RequestWatch:
    return DECOYS.watch(fields or [], ([] if found is None else found).append, lambda: False)


def sent(body: bytes, size: int, fields: HeaderList | None = None) -> tuple[bytes, str]:
    """What of the body leaves when it comes in pieces of `size`, and the decoy that was found in it."""
    found: list[str] = []
    watched = watch(fields, found)
    out = b""
    try:
        for at in range(0, len(body), size):
            out += watched.body(body[at : at + size])
        out += watched.end()
    except DecoySeen:
        assert len(found) == 1
        return out, found[0]
    assert not found
    return out, ""


def head(path: str = "/", *headers: tuple[str, str], host: str = "api.example.com") -> RequestHead:
    fields = (("Host", host), *headers)
    return RequestHead(
        "POST",
        path,
        tuple((name.encode(), value.encode()) for name, value in fields),
        (host,),
        connect=Destination(host, 443),
        tls=True,
        sni=host,
    )


SPELLINGS = {
    "plain": FILE,
    "json": json.dumps({"file": FILE.decode()}).encode(),
    "ascii json": json.dumps({"file": FILE.decode()}).replace("/", "\\/").encode(),
    "form": urllib.parse.urlencode({"file": FILE.decode()}).encode(),
    "percent, all of it": "".join(f"%{byte:02x}" for byte in FILE).encode(),
    "base64": base64.b64encode(b"?" + FILE),
    "base64 in lines": base64.encodebytes(FILE),
    "base64url": base64.urlsafe_b64encode(b"??" + FILE),
    "hex": FILE.hex().encode(),
    "utf-16": FILE.decode().encode("utf-16"),
    "multipart": b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n' + FILE + b"\r\n--x--\r\n",
    "binary": os.urandom(50) + FILE + os.urandom(50),
    "half of the secret": SECRET[1].encode(),
}


@pytest.mark.parametrize("size", [1, 7, 64, 10**6])
@pytest.mark.parametrize("name", SPELLINGS)
def test_a_decoy_is_found_in_every_spelling_and_in_any_pieces(name: str, size: int) -> None:
    body = CLEAN + SPELLINGS[name]
    out, found = sent(body, size)
    assert found == "~/.aws/credentials"
    assert body.startswith(out)
    assert KEY_ID.encode()[:9] not in out
    assert SECRET[0].encode()[:12] not in out


@pytest.mark.parametrize("size", [1, 13, 10**6])
def test_a_clean_body_passes_unchanged(size: int) -> None:
    for body in (
        CLEAN,
        b"",
        b"A",
        KEY_ID[:-1].encode(),
        FILE.replace(b"AKIA", b"AKIB")[:60],
        os.urandom(10_000),
    ):
        assert sent(body, size) == (body, "")
    assert sent(gzip.compress(CLEAN), size, [(b"Content-Encoding", b"gzip")]) == (gzip.compress(CLEAN), "")


def test_nothing_that_is_clean_is_late() -> None:
    """A client that waits for an answer before it goes on must not wait for ever."""
    watched = watch()
    for piece in (b"a message that ends like a key: AKIA4QZ", b"!", b"eyJ", b"%", b"\\u004"):
        assert watched.body(piece) == piece
    assert watched.body(b" AKIA4QZ7RW") == b" "  # long enough to wait for the rest
    assert watched.body(b"? no") == b"AKIA4QZ7RW? no"


CODED = {
    "gzip": gzip.compress(FILE),
    "deflate": zlib.compress(FILE),
    "zstd": zstandard.compress(FILE),
    "gzip, zstd": zstandard.compress(gzip.compress(FILE)),
}


@pytest.mark.parametrize("size", [1, 20, 10**6])
@pytest.mark.parametrize("name", CODED)
def test_a_compressed_body_is_looked_into(name: str, size: int) -> None:
    out, found = sent(CODED[name], size, [(b"content-encoding", name.encode())])
    assert found == "~/.aws/credentials"
    assert len(out) < len(CODED[name])


@pytest.mark.parametrize("size", [1, 10**6])
@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_so_is_a_file_that_says_by_itself_that_it_is_compressed(name: str, size: int) -> None:
    assert sent(CODED[name], size)[1] == "~/.aws/credentials"


@pytest.mark.parametrize("coding", ["gzip", "br", "compress", "gzip, " * 9])
def test_a_body_in_no_such_coding_is_searched_as_it_is(coding: str) -> None:
    fields = [(b"content-encoding", coding.encode())]
    assert sent(CLEAN, 100, fields) == (CLEAN, "")
    assert sent(CLEAN + FILE, 100, fields)[1] == "~/.aws/credentials"


def test_what_stops_being_in_its_coding_is_not_held_back() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    begin = packer.compress(b"x" * 100 + KEY_ID[:12].encode()) + packer.flush(zlib.Z_SYNC_FLUSH)
    watched = watch([(b"content-encoding", b"gzip")])
    assert watched.body(begin) == b""
    assert watched.body(b"\xff" * 50) == begin + b"\xff" * 50
    assert watched.body(b"more") == b"more"


def test_a_bomb_holds_back_no_more_than_a_megabyte() -> None:
    """Empty blocks say nothing, so nothing tells whether the value that began before them goes on."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    begin = packer.compress(b"x" * 100 + KEY_ID[:12].encode()) + packer.flush(zlib.Z_SYNC_FLUSH)
    watched = watch([(b"content-encoding", b"gzip")])
    assert watched.body(begin) == b""
    empty = b"\0\0\0\xff\xff" * 10_000
    waiting = [watched.body(empty) for _ in range(30)]
    assert waiting[0] == b""
    assert sum(map(len, waiting)) > 0


@pytest.mark.parametrize(
    "said",
    [
        head(f"/?q={KEY_ID}"),
        head(f"/{urllib.parse.quote(SECRET[0], safe='')}"),
        head("/", ("X-Note", f"see {KEY_ID}")),
        head("/", ("Authorization", "Basic " + base64.b64encode(f"{KEY_ID}:x".encode()).decode())),
        head("/", (KEY_ID, "as a name")),
    ],
)
def test_the_head_is_searched(said: RequestHead) -> None:
    assert DECOYS.in_head(said) == "~/.aws/credentials"
    assert DECOYS.in_head(head("/?q=AKIA", ("X-Note", "clean"))) == ""


@pytest.mark.parametrize(
    "host",
    [
        f"{KEY_ID}.attacker.test".lower(),
        f"{KEY_ID[:9]}.{KEY_ID[9:]}.attacker.test".lower(),
        f"{KEY_ID.encode().hex()}.attacker.test",
        f"{base64.b32encode(b'..' + KEY_ID.encode()).decode().rstrip('=').lower()}.attacker.test",
    ],
)
def test_a_decoy_in_a_host_name_is_found(host: str) -> None:
    assert DECOYS.in_host(host) == "~/.aws/credentials"
    assert DECOYS.in_hosts(head(host=host)) == "~/.aws/credentials"
    assert DECOYS.in_hosts(head()) == ""


def test_trailers_and_frames_are_searched() -> None:
    with pytest.raises(DecoySeen):
        watch().trailers([(b"x-checksum", KEY_ID.encode())])
    watch().trailers([(b"x-checksum", b"1234")])
    key = bytes(range(4))
    text = f'{{"say": "{KEY_ID}"}}'.encode()
    masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(text))
    frame = bytes([0x81, 0x80 | len(text)]) + key + masked
    watched = watch()
    clean = b"\x81\x85\0\0\0\0hello\x89\x80\0\0\0\0"
    assert watched.frames(clean) == clean
    out = b""
    for piece in (frame[:3], frame[3:20]):
        out += watched.frames(piece)
    with pytest.raises(DecoySeen):
        watched.frames(frame[20:])
    assert len(out) < 6 + text.index(b"AKIA") + 8


def test_once_another_request_has_sprung_a_decoy_nothing_goes_on() -> None:
    frozen = [False]
    watched = DECOYS.watch([], [].append, lambda: frozen[0])
    assert watched.body(b"clean") == b"clean"
    frozen[0] = True
    with pytest.raises(DecoySeen):
        watched.body(b"clean")


def test_no_repr_says_a_value() -> None:
    assert KEY_ID not in repr(Decoy("~/.env", (KEY_ID,)))


def test_threat_27_a_bomb_within_a_bomb_does_not_hold_up_the_run() -> None:
    """Each coding keeps within its own measure; 60 KB of both together would come to 34 GB."""
    inner = gzip.compress(bytes(64 << 20), 9)
    bomb = gzip.compress(inner * 512, 9)
    started = time.process_time()
    assert sent(bomb, 65_536, [(b"content-encoding", b"gzip, gzip")]) == (bomb, "")
    assert time.process_time() - started < 10
