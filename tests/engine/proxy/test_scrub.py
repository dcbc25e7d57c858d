"""Every form of a value is replaced, whatever the pieces it comes in, and nothing else is touched."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.proxy.needles import Needles
from engine.proxy.scrub import Lexicon, Scrubber, scrubbed

TOKEN = "ghp_CANARY4d1f0e9b7c6a5f3e2d1c0b9a8f7e6d5c"
ODD = 'pa/ss+wo rd="<&>%41\\end=='
LEXICON = Lexicon(Needles([("github", TOKEN), ("odd", ODD)]))


def forms(value: str) -> dict[str, str]:
    raw = value.encode()
    return {
        "plain": value,
        "url": urllib.parse.quote(value, safe=""),
        "url, lower": "".join(f"%{byte:02x}" for byte in raw),
        "url, upper": "".join(f"%{byte:02X}" for byte in raw),
        "url, in part": "".join(f"%{byte:02x}" if byte % 3 else chr(byte) for byte in raw),
        "url, twice": urllib.parse.quote("".join(f"%{byte:02x}" for byte in raw), safe=""),
        "form": urllib.parse.quote_plus(value),
        "json": json.dumps(value),
        "json, slashes": json.dumps(value).replace("/", "\\/"),
        "json, all": "".join(f"\\u{byte:04x}" for byte in raw),
        "json in json": json.dumps("".join(f"\\u{byte:04X}" for byte in raw)),
        "javascript": "".join(f"\\x{byte:02x}" for byte in raw),
        "html": "".join(f"&#{byte};" for byte in raw),
        "html, hex": "".join(f"&#x{byte:04X};" for byte in raw),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "utf-16": value.encode("utf-16-le").decode(),
        "utf-16 be": value.encode("utf-16-be").decode(),
    } | {
        f"base64 {before!r}{after!r}{name}": encode(before + raw + after).decode().rstrip(pad)
        for before in (b"", b"x-access-token:", b"user:", b"ab")
        for after in (b"", b"\n", b"\0\xff")
        for name, encode in (("", base64.b64encode), (" url", base64.urlsafe_b64encode))
        for pad in ("", "=")
    }  # fmt: skip


FORMS = [
    (name, form)
    for value in (TOKEN, ODD)
    for name, form in forms(value).items()
    if value == TOKEN or name != "url, in part"
]


@pytest.mark.parametrize(("name", "form"), FORMS, ids=[name for name, _ in FORMS])
def test_threat_14_every_form_is_replaced_at_its_length_in_any_pieces(name: str, form: str) -> None:
    text = f'{{"a": "\\n 100%41 &amp; é", "b": "{form}", "c": "g ghp_ pa/ss"}}\n'.encode()
    hits: Counter[str] = Counter()
    out = scrubbed(text, LEXICON, hits)
    assert len(out) == len(text)
    assert hits.total() == 1
    begin = text.index(form.encode())
    assert out[:begin] == text[:begin]
    assert out[begin + len(form.encode()) :] == text[begin + len(form.encode()) :]
    inside = out[begin : begin + len(form.encode())]
    # of base64 the first and last characters hold bits of what stands around the value
    assert inside.count(b"x") >= len(inside) - (24 if "base64" in name else 4)
    for value in (TOKEN, ODD):
        for other in forms(value).values():
            assert other.encode() not in out
    for size in (1, 2, 3, 5, 17, 64):
        assert in_pieces(text, size) == (out, hits)


def in_pieces(text: bytes, size: int, lexicon: Lexicon = LEXICON) -> tuple[bytes, Counter[str]]:
    scrubber = Scrubber(lexicon)
    pieces = [scrubber.feed(text[at : at + size]) for at in range(0, len(text), size)]
    return b"".join([*pieces, scrubber.finish()]), scrubber.hits


SPELLINGS = (
    lambda c: c,
    lambda c: f"%{ord(c):02x}",
    lambda c: f"%25{ord(c):02X}",
    lambda c: f"\\u{ord(c):04X}",
    lambda c: f"\\\\u{ord(c):04x}",
    lambda c: f"\\x{ord(c):02x}",
    lambda c: f"&#{ord(c):03};",
    lambda c: f"&#x{ord(c):x};",
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(SPELLINGS), min_size=len(TOKEN), max_size=len(TOKEN)),
    st.integers(1, 60),
    st.text(alphabet="ghp_C%\\&#;u06 x\n", max_size=30),
)
def test_threat_14_any_mixture_of_escapes_is_one_form_more(
    spelled: list[Callable[[str], str]], size: int, around: str
) -> None:
    form = "".join(spell(char) for spell, char in zip(spelled, TOKEN, strict=True)).encode()
    out, hits = in_pieces(around.encode() + b"\n" + form + b"\n" + around.encode(), size)
    assert out == around.encode() + b"\n" + b"x" * len(form) + b"\n" + around.encode()
    assert hits == {"github": 1}


# few letters, so that beginnings, overlaps and escapes meet
TANGLED = Lexicon(Needles([("a", "abaabaab"), ("b", "aabaabaaX"), ("c", "67ab%61ab")]))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["a", "b", "aab", "abaabaab", "aabaabaaX", "%61", "%6", "%", "%2561", "%25", "67", "\\u0061",
             "\\u00", "\\", "\\x62", "&#97;", "&#", "&#x6", "X", "x", "\n",
             base64.b64encode(b"abaabaab").decode()]
        ),
        max_size=30,
    ),
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
)  # fmt: skip
def test_pieces_make_no_difference(parts: list[str], sizes: list[int]) -> None:
    text = "".join(parts).encode()
    whole: Counter[str] = Counter()
    expected = scrubbed(text, TANGLED, whole)
    scrubber = Scrubber(TANGLED)
    out, at, turn = b"", 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        out += scrubber.feed(text[at : at + size])
        at, turn = at + size, turn + 1
    out += scrubber.finish()
    assert out == expected
    assert scrubber.hits.total() == whole.total()
    assert b"abaabaab" not in out
    assert len(out) == len(text)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(1, 40))
def test_text_without_a_value_is_untouched(data: bytes, size: int) -> None:
    assert in_pieces(data, size) == (data, Counter())


@pytest.mark.parametrize(
    "event", [b'data: {"n": 1}\n\n', b"event: end\r\n\r\n", b'{"a": 1}', b"50 ready.", b"\0\0\0\x05"]
)
def test_what_ends_in_no_beginning_of_a_value_is_never_late(event: bytes) -> None:
    assert Scrubber(LEXICON).feed(event) == event


def test_only_the_beginning_of_a_value_waits() -> None:
    scrubber = Scrubber(LEXICON)
    assert scrubber.feed(b"data: ghp_CAN") == b"data: "
    assert scrubber.feed(b"DY\n\n") == b"ghp_CANDY\n\n"
    assert scrubber.feed(b"data: %67hp_\\u0043") == b"data: "
    assert scrubber.feed(b"LARA\n") == b"%67hp_\\u0043LARA\n"


def test_short_values_would_hit_innocent_text() -> None:
    assert not Needles([("a", "abc"), ("b", "")])


def test_many_grants_are_found_as_one_is() -> None:
    lexicon = Lexicon(Needles([(f"g{n}", f"token_number_{n:03}_of_many") for n in range(40)]))
    hits: Counter[str] = Counter()
    out = scrubbed(b" ".join(b"token_number_%03d_of_many" % n for n in range(40)), lexicon, hits)
    assert set(hits) == {f"g{n}" for n in range(40)}
    assert b"token" not in out


@pytest.mark.parametrize(
    "unit", [b"%67", b"g", b"ghp_", b"\\", b"%25", b"&#1", b"ghp_CANARY4d1f0e9b7c6a5f3e2d1c0b9a8f7e6d5 "]
)
def test_hostile_text_takes_no_time(unit: bytes) -> None:
    scrubber = Scrubber(LEXICON)
    text = unit * (300_000 // len(unit))
    began = time.process_time()
    out = (
        b"".join(scrubber.feed(text[at : at + 16384]) for at in range(0, len(text), 16384))
        + scrubber.finish()
    )
    assert time.process_time() - began < 2
    assert out == text
