from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.screen_home import request

from moat_tui.screen.models.filter_language import FilterError, compile_filter, finished

RECORDS = {
    "ok": request(1),
    "post": request(2, method="POST", url="https://api.github.com/v1/issues?q=a%20b", duration_ms=900),
    "missing": request(
        3, status_code=404, host="a-pypi.test", url="https://mirror.test/pypi/simple/x", grant=""
    ),
    "denied": request(
        4, status_code=403, decision="denied", rule="strict", host="Evil.test", url="https://Evil.test/"
    ),
    "big": request(5, bytes_in=20_000, bytes_out=10, url="https://api.github.com/a b"),
}


def found(text: str) -> set[str]:
    predicate = compile_filter(text)
    assert predicate is not None
    return {name for name, record in RECORDS.items() if predicate(record)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host:github", {"ok", "post", "big"}),
        ("HOST:GitHub", {"ok", "post", "big"}),
        ("host:=evil.test", {"denied"}),
        ("host:=evil", set()),
        ("status:>=400", {"missing", "denied"}),
        ("status:404", {"missing"}),
        ("status:4xx", {"missing", "denied"}),
        ("status:400..403", {"denied"}),
        ("status:..300", {"ok", "post", "big"}),
        ("status:404..", {"missing"}),
        ("status:200,404 !host:github", {"missing"}),
        ("grant:github decision:denied", {"denied"}),
        ("method:POST", {"post"}),
        ("path:/v1", {"post"}),
        ("ms:>500", {"post"}),
        ("bytes:>10k", {"big"}),
        ("in:<1", set(RECORDS) - {"big"}),
        ("!grant:github", {"missing"}),
        ("!pypi !evil", {"ok", "post", "big"}),
        ('"a b"', {"big"}),
        ('path:"/a b"', {"big"}),
        ("host:pypi,evil", {"missing", "denied"}),
        ("https://mirror", {"missing"}),
        ("simple/x", {"missing"}),
        ("rule:strict", {"denied"}),
    ],
)
def test_what_it_finds(text, expected):
    assert found(text) == expected


@pytest.mark.parametrize("text", ["", "   "])
def test_nothing_asked_is_no_filter(text):
    assert compile_filter(text) is None


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("hots:x", 0, "no field is called hots"),
        ("a status:>=x", 9, "status: needs a number"),
        ("status:", 7, "status: needs a value"),
        ("ok host:a,", 8, "needs a value"),
        ('x "open', 2, "not closed"),
        ("a !", 2, "! needs something"),
        ("ms:..", 3, "a range needs an end"),
    ],
)
def test_errors_say_what_and_where(text, at, says):
    with pytest.raises(FilterError) as caught:
        compile_filter(text)
    assert caught.value.at == at
    assert says in str(caught.value)


def place_of_error(text: str) -> int:
    try:
        compile_filter(text)
    except FilterError as error:
        return error.at
    return 0


@given(st.text())
def test_any_text_is_a_filter_or_an_error_inside_it(text):
    assert 0 <= place_of_error(text) <= len(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("host:a sta", "host:a "), ("!m", ""), ("status:4", "status:4"), ("issues", "issues"), ("ms ", "ms ")],
)
def test_a_field_on_its_way_is_no_word_yet(text, expected):
    assert finished(text) == expected
