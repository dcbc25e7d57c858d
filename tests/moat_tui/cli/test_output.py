from datetime import UTC, datetime

import msgspec
import pytest

import engine
from moat_tui.cli import output

OSC52 = "\x1b]52;c;ZXZpbA==\x07"


@pytest.mark.parametrize(
    "hostile", [OSC52, "\x9b2J", "\r", "\n", "\x7f", "\u202e", "\u2028", "\u200b", "\ufeff"]
)
def test_hostile_characters_are_spelled_out(hostile):
    escaped = output.escape(f"a{hostile}b")
    assert escaped.isprintable()
    assert escaped.startswith("a\\")
    assert escaped.endswith("b")


def test_ordinary_text_stays_as_it_is():
    assert output.escape("naïve 日本 🦦 \\x1b") == "naïve 日本 🦦 \\x1b"


def test_a_line_for_a_file_is_untouched():
    assert output.agent_line(f"a{OSC52}\r", terminal=False, colour=False) == f"a{OSC52}\r"


def test_a_line_for_a_terminal_keeps_colour_and_nothing_else():
    shown = output.agent_line(f"\x1b[1;31mred\x1b[2J\t{OSC52}", terminal=True, colour=True)
    assert shown == "\x1b[1;31mred\\x1b[2J\t\\x1b]52;c;ZXZpbA==\\x07\x1b[0m"


def test_a_line_for_a_terminal_without_colours_has_none():
    assert output.agent_line("\x1b[31mred\x1b[m", terminal=True, colour=False) == "red"
    assert output.agent_line("plain", terminal=True, colour=True) == "plain"


def test_columns_align_escape_and_only_grow():
    table = output.Columns("A", "N", "LAST", right=("N",))
    assert table.render([]) == ""
    assert table.render([("x\x1b", "7", "end"), ("y", "12", "z")]) == (
        "A       N  LAST\nx\\x1b   7  end\ny      12  z\n"
    )
    assert table.render([("z", "1", "w")]) == "z       1  w\n"


def test_columns_line_up_beside_characters_that_take_two_cells_or_none():
    text = output.Columns("A", "B").render([("日本", "x"), ("e\u0301", "y")])
    assert text == "A     B\n日本  x\ne\u0301     y\n"


def test_on_a_terminal_the_elastic_column_gives_way_and_no_row_is_wider():
    table = output.Columns("METHOD", "PATH", "DECISION", elastic="PATH", width=40)
    lines = table.render(
        [("GET", "/a/very/long/path/indeed/" * 3, "allowed"), ("POST", "/日本" * 9, "denied")]
    )
    assert lines.splitlines() == [
        "METHOD  PATH                    DECISION",
        "GET     /a/very/long/path/ind…  allowed",
        "POST    /日本/日本/日本/日本/…  denied",
    ]


def test_a_terminal_too_narrow_for_the_columns_cuts_rows_as_ps_does():
    table = output.Columns("NAME", "STATE", "COMMAND", width=16)
    lines = table.render([("swift-otter", "running", "sh -c true")]).splitlines()
    assert lines == ["NAME         ST…", "swift-otter  ru…"]


def test_a_pipe_gets_every_row_whole():
    assert "x" * 500 in output.Columns("A", "B").render([("x" * 500, "end")])


@pytest.mark.parametrize(
    ("text", "shown"),
    [("── — …", "-- - ~"), ("naïve", "na\\xefve"), ("日─", "\\u65e5-"), ("🦦", "\\U0001f9a6")],
)
def test_a_stdout_that_carries_only_ascii_gets_a_likeness_or_the_spelling(text, shown):
    assert text.encode("ascii", "moat") == shown.encode()


def test_json_has_every_field_and_no_live_control_character():
    info = engine.RunInfo(id="run_1", name="n\x9b\u202e", created_at="", grants=("github",))
    text = output.json_line(info)
    assert text.endswith("}\n")
    assert text[:-1].isprintable()
    assert set(msgspec.json.decode(text)) == set(engine.RunInfo.__struct_fields__)
    assert msgspec.json.decode(text)["name"] == "n\x9b\u202e"
    assert msgspec.json.decode(text)["state"] == "starting"
    assert msgspec.json.decode(output.json_page([info])) == [msgspec.json.decode(text)]


@pytest.mark.parametrize(
    ("then", "text"),
    [
        ("2026-01-12T10:00:00Z", "0s"),
        ("2026-01-12T09:59:01.5Z", "58s"),
        ("2026-01-12T09:00:01Z", "59m"),
        ("2026-01-11T10:00:01Z", "23h"),
        ("2026-01-02T10:00:00Z", "10d"),
        ("2026-01-12T10:00:09Z", "0s"),
        ("soon", "-"),
        ("", "-"),
    ],
)
def test_age(then, text):
    assert output.age(then, datetime(2026, 1, 12, 10, tzinfo=UTC)) == text
