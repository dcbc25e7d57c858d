"""WebSocket messages lose a credential however they are cut into frames, and frames stay what they are."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.proxy.needles import Needles
from engine.proxy.scrub import Lexicon
from engine.proxy.scrub_frames import FrameScrubber

TOKEN = b"ghp_CANARY4d1f0e9b7c6a5f3e2d1c0b9a8f7e6d5c"
LEXICON = Lexicon(Needles([("github", TOKEN.decode())]))
MASKED = b"x" * len(TOKEN)
TEXT, CONTINUATION, PING = 1, 0, 9


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, key: bytes = b"") -> bytes:
    size = len(payload)
    length = 0 if size < 126 else 2 if size < 65536 else 8
    said = {0: size, 2: 126, 8: 127}[length] | (0x80 if key else 0)
    sent = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)) if key else payload
    head = bytes([opcode | (0x80 if fin else 0), said]) + (size.to_bytes(length, "big") if length else b"")
    return head + key + sent


def scrub(data: bytes, sizes: list[int]) -> bytes:
    scrubber = FrameScrubber(LEXICON, Counter())
    out, at, turn = b"", 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        out += scrubber.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    return out


payloads = st.sampled_from(
    [b"", b"hello", TOKEN, TOKEN[:20], TOKEN[20:], TOKEN * 4, b"g" * 200, bytes(66_000)]
)
keys = st.sampled_from([b"", b"\x01\x02\x03\x04"])
fragments = st.lists(
    st.tuples(payloads, keys, st.sampled_from([None, b"ping", TOKEN])), min_size=1, max_size=4
)


@settings(max_examples=80, deadline=None)
@given(st.lists(fragments, max_size=3), st.lists(st.integers(1, 300), min_size=1, max_size=5), st.booleans())
def test_threat_14_websocket_messages_in_any_frames(
    messages: list[list[tuple[bytes, bytes, bytes | None]]], sizes: list[int], whole: bool
) -> None:
    data = expected = b""
    for message in messages:
        clean = b"".join(payload for payload, _, _ in message).replace(TOKEN, MASKED)
        for number, (payload, key, ping) in enumerate(message):
            opcode, fin = CONTINUATION if number else TEXT, number == len(message) - 1
            data += frame(payload, opcode, fin=fin, key=key)
            expected += frame(clean[: len(payload)], opcode, fin=fin, key=key)
            clean = clean[len(payload) :]
            if ping is not None:
                data += frame(ping, PING)
                expected += frame(ping.replace(TOKEN, MASKED), PING)
    assert scrub(data, [len(data) + 1] if whole else [size * 31 + 1 for size in sizes]) == expected
    if len(data) < 5000:
        assert scrub(data, sizes) == expected


def test_a_message_that_ends_is_not_held() -> None:
    scrubber = FrameScrubber(LEXICON, Counter())
    assert scrubber.feed(frame(b"ghp_CAN")) == frame(b"ghp_CAN")
    assert scrubber.feed(frame(b"ghp_CAN", fin=False)) == frame(b"ghp_CAN", fin=False)[:2]
    rest = frame(b"", PING) + frame(b"!", CONTINUATION)
    assert scrubber.feed(rest) == b"ghp_CAN" + rest


def test_bytes_that_are_no_frames_pass_quickly() -> None:
    assert scrub(bytes(400_000), [65536]) == bytes(400_000)
