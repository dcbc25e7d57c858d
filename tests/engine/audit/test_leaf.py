from __future__ import annotations

import hashlib
import json

from engine.audit.leaf import commitment, commitments, entry_leaf, leaf_bytes, salts

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
