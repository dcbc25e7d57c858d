import itertools

from hypothesis import given
from hypothesis import strategies as st

from engine.run.records.output import MAX_LINE, LineSplitter


def split(*chunks):
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return lines + splitter.finish()


def test_line_ends_are_newlines_only():
    assert split(b"a\r\nb\x0cb\nc\xe2\x80\xa8c") == ["a", "b\x0cb", "c\u2028c"]


def test_the_last_line_needs_no_end_and_an_end_makes_no_empty_line():
    assert split(b"a\nb") == ["a", "b"]
    assert split(b"a\n") == ["a"]
    assert split(b"\n\n") == ["", ""]
    assert split() == []


def test_a_character_cut_between_two_chunks_is_whole():
    assert split(b"\xc3", b"\xa9\n", b"\xff\n") == ["é", "\ufffd"]


def test_endless_lines_are_kept_in_pieces():
    lines = split(b"x" * (MAX_LINE * 2 + 5), b"y\n")
    assert [len(line) for line in lines] == [MAX_LINE, MAX_LINE, 6]
    assert lines[-1] == "xxxxxy"


@given(st.text(alphabet="ab\né€", max_size=200), st.lists(st.integers(0, 400), max_size=8))
def test_where_the_chunks_are_cut_does_not_matter(text, cuts):
    data = text.encode()
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    chunks = [data[a:b] for a, b in itertools.pairwise(places)]
    assert split(*chunks) == split(data)
    assert split(data) == (text.removesuffix("\n").split("\n") if text else [])
