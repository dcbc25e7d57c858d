from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat_tui.screen.models.pretty import pretty_body
from moat_tui.screen.models.visible import UNSAFE


def text(body: str, kind: str) -> list[str]:
    return ["".join(part for part, _ in line) for line in pretty_body(body, kind).lines]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/problem+json", ""])
def test_json_is_indented(kind):
    assert text('{"a":[1,true],"é":null}', kind) == [
        "{", '  "a": [', "    1,", "    true", "  ],", '  "é": null', "}",
    ]  # fmt: skip


def test_json_that_was_cut_is_shown_as_it_is():
    assert pretty_body('{"a": [1, 2', "application/json").kind == "JSON, cut or malformed"
    assert text('{"a": [1, 2', "application/json") == ['{"a": [1, 2']
    assert text("[" * 8_000, "application/json") == ["[" * 8_000]


def test_a_form_is_a_line_a_field():
    assert text("a=1&b+c=d%20e&flag", "application/x-www-form-urlencoded") == [
        "a = 1",
        "b c = d e",
        "flag = ",
    ]


def test_markup_is_laid_out_and_not_obeyed():
    body = "<html><br><b>[red]x[/red]</b><script>alert(1)</script><img/></html>"
    assert text(body, "text/html") == [
        "<html>", "  <br>", "  <b>", "    [red]x[/red]", "  </b>", "  <script>", "    alert(1)",
        "  </script>", "  <img/>", "</html>",
    ]  # fmt: skip
    assert pretty_body("<a><b/></a>", "application/xml").kind == "XML"


def test_events():
    assert text('event: ping\ndata: {"a":1}\n\n: note', "text/event-stream") == [
        "event: ping", 'data: {"a":1}', "", ": note",
    ]  # fmt: skip


def test_anything_else_is_text():
    assert text("a\tb\x1b[2J\r\nc", "text/plain") == ["a   b␛[2J", "c"]


KINDS = ["application/json", "application/x-www-form-urlencoded", "text/html", "text/event-stream", "x/y", ""]


@given(st.text(), st.sampled_from(KINDS))
def test_nothing_reaches_the_terminal(body, kind):
    assert not any(UNSAFE.search(line) for line in text(body, kind))
