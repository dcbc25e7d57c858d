from __future__ import annotations

import hashlib
import json

import pytest

from engine.audit.canonical import canonical_json
from engine.audit.leaf import (
    commitment,
    commitments,
    entry_leaf,
    leaf_bytes,
    leaf_hasher,
    own_leaf_hasher,
    salts,
)
from engine.errors import AuditError

SEED = bytes(range(32))
TS = "2026-01-12T10:00:00Z"


def test_a_leaf_by_hand():
    """As FORMAT.md says it, with nothing of ours."""
    data = {"host": "é <b>", "action": "intent"}
    stream = hashlib.shake_256(SEED + (7).to_bytes(8, "big")).digest(32)
    action = hashlib.sha256(stream[:16] + b'{"action":"intent"}').hexdigest()
    host = hashlib.sha256(stream[16:] + '{"host":"é \\u003cb\\u003e"}'.encode()).hexdigest()
    text = f'{{"data":{{"action":"{action}","host":"{host}"}},"seq":7,"ts":"{TS}","type":"credential"}}'
    assert entry_leaf(SEED, 7, TS, "credential", data) == hashlib.sha256(b"\0" + text.encode()).digest()


def test_a_field_kept_back_leaves_the_leaf_as_it_is():
    data = {"line": "a secret", "extra": [1, {"b": None}]}
    committed = commitments(SEED, 1, data)
    shown = commitment(salts(SEED, 1, ["extra", "line"])[0], "extra", data["extra"])
    assert leaf_bytes(1, TS, "console", {"extra": shown, "line": committed["line"]}) == leaf_bytes(
        1, TS, "console", committed
    )
    assert "secret" not in json.dumps(committed)


def test_the_same_value_is_committed_to_differently_each_time():
    assert commitments(SEED, 1, {"a": 1}) != commitments(SEED, 2, {"a": 1})
    first = commitments(SEED, 1, {"a": 1, "b": 1})
    assert first["a"] != first["b"]


def test_an_entry_without_data_has_a_leaf():
    assert commitments(SEED, 1, {}) == {}
    assert len(entry_leaf(SEED, 1, TS, "console", {})) == 32


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"line": ""},
        {"line": "plain"},
        {"line": 'a "quote", a \\, <b> & \u2028 \u2029 \x00 \x1f \x7f \n é \U0001f600 %s {x}'},
        {"line": "\ud800"},
        {"a b": 1, "é": "<", "%d": True, '"': None, "Z": -(2**53)},
        {"number": 2**53, "yes": True, "no": False, "none": None, "negative": -7},
        {"command": ["a", "<b>"], "deep": {"b": [1, {"c": None}], "a": "é"}},
    ],
)
def test_a_whole_log_has_the_same_leaves(data: dict[str, object]):
    text = canonical_json(data)
    leaf = leaf_hasher(SEED)
    for seq in (1, 2, 2**40):
        assert leaf(seq, TS, "console", text) == entry_leaf(SEED, seq, TS, "console", json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"line": "x"}',
        '{"line":"x"} ',
        '{"line":"a","line":"x"}',
        '{"b":1,"a":1}',
        '{"a":1.0}',
        '{"a":1e3}',
        '{"a":-0}',
        '{"a":9007199254740993}',
        '{"a":18446744073709551616}',
        '{"a":["b", "c"]}',
        '{"a":{"c":1,"b":1}}',
        '{"line":"<"}',
        '{"line":"\\u003C"}',
        '{"line":"\\u0078"}',
        '{"l\\u0069ne":"x"}',
        '{"line":"\\/"}',
        '{"line":"\u2028"}',
        '{"line":"\\ud800"}',
        '{"line":"\ud800"}',
        '{"a":NaN}',
        '{"a":' + "[" * 40 + "]" * 40 + "}",
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
        "[1]",
        "",
    ],
)
def test_a_text_that_is_not_the_one_form_has_no_leaf(text: str):
    with pytest.raises(AuditError):
        leaf_hasher(SEED)(1, TS, "console", text)


@pytest.mark.parametrize(
    ("ts", "kind"), [('","seq":2,"x":"', "console"), ("\\", "console"), (TS, 'a"'), (TS, "")]
)
def test_nothing_breaks_out_of_a_leaf(ts: str, kind: str):
    with pytest.raises(AuditError):
        leaf_hasher(SEED)(1, ts, kind, "{}")


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"line": "plain"},
        {"line": 'é <b> & \u2028 "q" \\ \x07'},
        {"a": 1, "b": True, "c": None, "d": -(2**53)},
        {"e": [1, {"f": "<"}]},
    ],
)
def test_what_is_appended_is_committed_to_as_it_is_verified(data):
    text = canonical_json(data)
    for seq in (1, 256, 2**40):
        assert own_leaf_hasher(SEED)(seq, TS, "console", text) == entry_leaf(SEED, seq, TS, "console", data)
        assert leaf_hasher(SEED)(seq, TS, "console", text) == entry_leaf(SEED, seq, TS, "console", data)
