"""An entry as a leaf of the tree: every field of its data stands as a salted commitment.

So one entry can be shown, and some of its fields kept back, with a proof that holds all the same. Pure;
the format is in FORMAT.md, "The tree". `leaf_hasher` is for whole logs, the rest for single fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.audit.canonical import canonical_json, canonical_value
from engine.audit.chain import TIMESTAMP, TYPE_NAME
from engine.audit.merkle import leaf_hash
from engine.errors import AuditError

SEED_BYTES = 32
SALT_BYTES = 16
_MANY = 256  # shapes that are remembered; ours are some twenty, a made-up log may have any number
_parse = msgspec.json.Decoder(dict[str, Any]).decode

# `"NAME":` and the end of its salt for each field, bytes of salts, the leaf's text to fill in
type _Shape = tuple[list[tuple[str, int]], int, str]


def salts(seed: bytes, seq: int, names: list[str]) -> list[bytes]:
    """One of 16 bytes for each of the sorted field names of entry `seq`."""
    stream = hashlib.shake_256(seed + seq.to_bytes(8, "big")).digest(SALT_BYTES * len(names))
    return [stream[at : at + SALT_BYTES] for at in range(0, len(stream), SALT_BYTES)]


def commitment(salt: bytes, name: str, value: object) -> str:
    """64 hex digits that bind to `{name: value}` and tell nothing about it without the salt."""
    return hashlib.sha256(salt + canonical_json({name: value}).encode()).hexdigest()


def commitments(seed: bytes, seq: int, data: Mapping[str, Any]) -> dict[str, str]:
    names = sorted(data)
    return {
        name: commitment(salt, name, data[name])
        for name, salt in zip(names, salts(seed, seq, names), strict=True)
    }


def leaf_bytes(seq: int, ts: str, kind: str, committed: Mapping[str, str]) -> bytes:
    """The leaf of an entry, given its fields' commitments."""
    return canonical_json({"data": dict(committed), "seq": seq, "ts": ts, "type": kind}).encode()


def entry_leaf(seed: bytes, seq: int, ts: str, kind: str, data: Mapping[str, Any]) -> bytes:
    """The leaf hash of an entry, 32 bytes."""
    return leaf_hash(leaf_bytes(seq, ts, kind, commitments(seed, seq, data)))


def leaf_hasher(seed: bytes) -> Callable[[int, str, str, str], bytes]:
    """`entry_leaf` for a whole log, given seq, ts, type and the text of the data, as they are stored.

    Raises AuditError for a text that is not the canonical one: it would read as one thing and be committed
    to as another. The hot path of appending and verifying, hence its local names and remembered shapes.
    """
    shapes: dict[tuple[str, ...], _Shape] = {}
    sha256, shake_256, parse, is_timestamp = hashlib.sha256, hashlib.shake_256, _parse, TIMESTAMP.fullmatch

    def leaf(seq: int, ts: str, kind: str, data_json: str) -> bytes:
        try:
            data = parse(data_json)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            raise AuditError(f"the data of entry {seq} is no JSON object") from error
        key = (kind, *data)
        shape = shapes.get(key)
        if shape is None:
            shape = _shape(key)
            if len(shapes) < _MANY:
                shapes[key] = shape
        fields, length, form = shape
        stream = shake_256(seed + seq.to_bytes(8, "big")).digest(length)
        simple = (
            "\\" not in data_json
            and "<" not in data_json
            and ">" not in data_json
            and "&" not in data_json
            and data_json.isascii()
        )
        texts = []
        filling: list[object] = []
        at = 0
        for (name, end), value in zip(fields, data.values(), strict=True):
            text = f'{name}"{value}"' if simple and type(value) is str else name + canonical_value(value)
            texts.append(text)
            filling.append(sha256(stream[at:end] + f"{{{text}}}".encode()).hexdigest())
            at = end
        if f"{{{','.join(texts)}}}" != data_json or is_timestamp(ts) is None:
            raise AuditError(f"entry {seq} is not in its one form")
        filling += (seq, ts)
        return sha256((form % tuple(filling)).encode()).digest()

    return leaf


def _shape(key: tuple[str, ...]) -> _Shape:
    """What all entries of one type with the same fields share."""
    kind, *names = key
    if names != sorted(names) or not TYPE_NAME.fullmatch(kind):
        raise AuditError("the fields of an entry are not in order, or its type is none")
    fields = [(canonical_value(name) + ":", SALT_BYTES * number) for number, name in enumerate(names, 1)]
    committed = ",".join(field.replace("%", "%%") + '"%s"' for field, _ in fields)
    form = f'\0{{"data":{{{committed}}},"seq":%d,"ts":"%s","type":"{kind}"}}'
    return fields, SALT_BYTES * len(names), form
