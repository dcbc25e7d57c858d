from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.audit.canonical import canonical_json, entry_hash, ordered_json
from engine.errors import AuditError

TS = "2026-01-12T10:00:00.123456Z"

numbers = st.integers(-(2**53), 2**53)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def test_vector_secret_in_declared_order():
    text = ordered_json({"backend": "op", "name": "OPENAI_API_KEY"}, ("name", "backend"))
    assert text == '{"name":"OPENAI_API_KEY","backend":"op"}'
    digest = entry_hash(1, TS, "secret", "", text)
    assert digest == "a4aa873c0be4fcfc644167239893105d2a6104ed570b64d93a9d83e210eefa50"


def test_vector_console_with_escapes():
    text = canonical_json({"line": "hello <b> & \u2028 é"})
    assert text == '{"line":"hello \\u003cb\\u003e \\u0026 \\u2028 é"}'
    digest = entry_hash(1, TS, "console", "", text)
    assert digest == "4037479c2ea270635a6c9bb6fd8b62998de8e1feedaea987f8b29625a8022f33"


def test_keys_are_sorted_at_every_level_and_nothing_is_spaced():
    assert canonical_json({"b": [{"z": 1, "a": None}], "a": True}) == '{"a":true,"b":[{"a":null,"z":1}]}'


@pytest.mark.parametrize(
    ("char", "printed"),
    [
        ("\b", "\\b"),
        ("\f", "\\f"),
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\t", "\\t"),
        ("\0", "\\u0000"),
        ("\x1b", "\\u001b"),
        ("\x7f", "\x7f"),
        ('"', '\\"'),
        ("\\", "\\\\"),
        ("/", "/"),
        ("\u2029", "\\u2029"),
        ("\U0001f600", "\U0001f600"),
        ("\u0085", "\u0085"),
    ],
)
def test_characters_are_printed_as_go_prints_them(char: str, printed: str):
    assert canonical_json({"line": char}) == f'{{"line":"{printed}"}}'


def test_bytes_that_were_no_text_become_replacement_characters():
    line = b"a\xff\xfeb".decode("utf-8", "surrogateescape")
    assert canonical_json({"line": line}) == '{"line":"a\ufffd\ufffdb"}'


@pytest.mark.parametrize(
    "data",
    [
        {"n": 1.0},
        {"n": float("nan")},
        {"n": 2**53 + 1},
        {"n": -(2**53) - 1},
        {1: "n"},
        {"\ud800": 1},
        {"n": b"bytes"},
        {"n": {1, 2}},
        {"n": object()},
    ],
)
def test_what_go_would_print_differently_is_refused(data: dict):
    with pytest.raises(AuditError):
        canonical_json(data)


def test_bottomless_nesting_is_refused():
    data: dict = {}
    data["self"] = data
    with pytest.raises(AuditError, match="nested"):
        canonical_json(data)


def test_judging_others_replaces_nothing():
    with pytest.raises(AuditError, match="Unicode"):
        ordered_json({"line": "\ud800"})


@given(st.dictionaries(texts, values, max_size=5))
def test_parsing_the_text_gives_the_data_back_and_the_text_again(data: dict):
    text = canonical_json(data)
    assert json.loads(text) == data
    assert canonical_json(json.loads(text)) == text
    assert not set(text) & set("<>&\u2028\u2029")
    text.encode()
