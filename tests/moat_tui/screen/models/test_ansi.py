from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color

from moat_tui.screen.models.ansi import parse_line, plain_line
from moat_tui.screen.models.visible import UNSAFE, visible, visible_lines


def styles(line: str) -> list[tuple[str, str]]:
    return [(text, str(style)) for text, style in parse_line(line)]


def test_a_plain_line_is_one_piece():
    assert styles("hello") == [("hello", "none")]
    assert parse_line("") == []


@pytest.mark.parametrize(
    ("codes", "style"),
    [
        ("1", "bold"),
        ("2", "dim"),
        ("3;4", "italic underline"),
        ("7", "reverse"),
        ("9", "strike"),
        ("31", "color(1)"),
        ("91", "color(9)"),
        ("44", "on color(4)"),
        ("1;32;41", "bold color(2) on color(1)"),
        ("38;5;208", "color(208)"),
        ("38;2;1;2;3", "#010203"),
        ("48;2;1;2;3", "on #010203"),
        ("38:5:208", "color(208)"),
        ("38:2::1:2:3", "#010203"),
        ("4:3", "underline"),
        ("31;0;1", "bold"),
        ("31;", "none"),
        ("", "none"),
        ("31;39", "none"),
        ("1;2;22", "none"),
        ("4;24", "none"),
        ("8", "none"),
        ("5", "none"),
        ("999999999999", "none"),
        ("38;5", "none"),
        ("38;5;999", "none"),
        ("38;2;1;2", "none"),
        ("38;9;1", "none"),
        ("58;5;1", "none"),
    ],
)
def test_sgr(codes, style):
    (piece,) = parse_line(f"\x1b[{codes}mx")
    assert (piece[0], str(piece[1])) == ("x", style)


def test_style_goes_on_until_it_is_reset():
    assert styles("a\x1b[31mb\x1b[1mc\x1b[0md") == [
        ("a", "none"),
        ("b", "color(1)"),
        ("c", "bold color(1)"),
        ("d", "none"),
    ]


def test_colours_are_terminal_colours_so_that_the_theme_decides():
    assert parse_line("\x1b[31mx")[0][1].color == Color.from_ansi(1)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b]52;c;c2VjcmV0\x07", "␛]52;c;c2VjcmV0␇"),
        ("\x1b]8;;https://evil.test\x1b\\link", "␛]8;;https://evil.test␛\\link"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x1b[2J\x1b[1;1H", "␛[2J␛[1;1H"),
        ("\x1b[?1049h", "␛[?1049h"),
        ("\x1bP+q\x1b\\", "␛P+q␛\\"),
        ("\x1b[31", "␛[31"),
        ("\x1b[>4;2m", "␛[>4;2m"),
        ("\x1bc", "␛c"),
        ("\x9b31mx", "<U+009B>31mx"),
        ("\x9d0;t\x9c", "<U+009D>0;t<U+009C>"),
        ("a\rb", "a␍b"),
        ("a\x08b", "a␈b"),
        ("a\x00b", "a␀b"),
        ("a\x7fb", "a␡b"),
        ("\u202eabc\u202c", "<U+202E>abc<U+202C>"),
        ("\u2066a\u2069", "<U+2066>a<U+2069>"),
        ("a\u200bb", "a<U+200B>b"),
        ("\ud800", "\ufffd"),
        ("\U000e0041", "<U+E0041>"),
        ("[red]markup[/red]", "[red]markup[/red]"),
        ("error\x1b[K: no", "error: no"),
        ("done\r", "done"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_everything_but_colour_is_made_visible(line, shown):
    assert plain_line(line) == shown


def test_tabs_stop_at_every_eighth_column_across_colours():
    assert plain_line("ab\tc") == "ab      c"
    assert plain_line("ab\x1b[31mc\td") == "abc     d"


@given(
    st.text(alphabet=st.characters() | st.sampled_from("\x1b[];:m0123456789\x07\x9b\u202e\t\r"), max_size=60)
)
def test_nothing_unsafe_ever_comes_out(line):
    for text, _ in parse_line(line):
        assert UNSAFE.search(text) is None
        text.encode()


@given(st.text(max_size=60))
def test_visible_is_safe_and_keeps_what_is_safe(text):
    shown = visible(text)
    assert UNSAFE.search(shown) is None
    assert visible(shown) == shown


def test_visible_lines_split_only_at_line_ends():
    assert visible_lines("a\r\nb\tc\x0bd\u2028e") == ["a", "b   c␋d<U+2028>e"]
