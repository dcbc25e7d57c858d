"""The frames of a session, however the socket cuts them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.run.terminals.frames import (
    PIECE,
    Decoder,
    Frame,
    Kind,
    NotAFrame,
    encode,
    number,
    number_of,
    size,
    size_of,
)

frames = st.lists(st.builds(Frame, st.sampled_from(Kind), st.binary(max_size=200)), max_size=8)


@given(frames, st.lists(st.integers(0, 2000), max_size=8))
def test_every_cut_gives_the_same_frames(sent: list[Frame], cuts: list[int]) -> None:
    data = b"".join(encode(*frame) for frame in sent)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder = Decoder()
    got = [frame for start, end in itertools.pairwise(edges) for frame in decoder.feed(data[start:end])]
    assert got == sent


@pytest.mark.parametrize(
    "data", [b"\xff\x00\x00\x00\x00", b"\x00" + (PIECE + 1).to_bytes(4, "big"), b"\x00\xff\xff\xff\xff"]
)
def test_what_is_no_frame_is_refused_before_it_is_kept(data: bytes) -> None:
    with pytest.raises(NotAFrame):
        list(Decoder().feed(data))


def test_numbers_and_sizes() -> None:
    for value in (0, 143, -1):
        assert number_of(Frame(Kind.EXIT, number(value))) == value
    assert size_of(Frame(Kind.RESIZE, size(24, 80))) == (24, 80)
    assert size_of(Frame(Kind.RESIZE, size(-1, 100_000))) == (0, 0xFFFF)
    for wrong in (Frame(Kind.EXIT, b"1"), Frame(Kind.RESIZE, b"12345")):
        with pytest.raises(NotAFrame):
            (number_of if wrong.kind is Kind.EXIT else size_of)(wrong)
