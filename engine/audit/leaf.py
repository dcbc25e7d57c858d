"""An entry as a leaf of the tree: every field of its data stands as a salted commitment.

So one entry can be shown, and some of its fields kept back, with a proof that holds all the same. Pure;
the format is in FORMAT.md, "The tree". `leaf_hasher` is for whole logs, the rest for single fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.audit.canonical import MAX_INTEGER, canonical_json, canonical_value
from engine.audit.chain import TYPE_NAME
from engine.audit.merkle import leaf_hash
from engine.errors import AuditError

SEED_BYTES = 32
SALT_BYTES = 16
_MANY = 256  # shapes that are remembered; ours are some twenty, a made-up log may have any number
_parse = msgspec.json.Decoder(dict[str, Any]).decode

# For each field what goes before its value in the data, before it alone, and before its commitment, and
# where its salt begins and ends; then the bytes of all salts.
type _Shape = tuple[list[tuple[str, str, str, int, int]], int]


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
    sha256, shake_256, parse = hashlib.sha256, hashlib.shake_256, _parse

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
        fields, length = shape
        stream = shake_256(seed + seq.to_bytes(8, "big")).digest(length)
        # No escape in it, and nothing that should be one: then every text stands as it is.
        simple = (
            "\\" not in data_json
            and "<" not in data_json
            and ">" not in data_json
            and "&" not in data_json
            and data_json.isascii()
        )
        said = committed = ""
        for (field, alone, leads, start, end), value in zip(fields, data.values(), strict=False):
            kept = type(value)
            if simple and kept is str:
                text = f'"{value}"'
            elif kept is int and -MAX_INTEGER <= value <= MAX_INTEGER:
                text = str(value)
            else:
                text = canonical_value(value)
            said = f"{said}{field}{text}"
            digest = sha256(stream[start:end] + f"{alone}{text}}}".encode()).hexdigest()
            committed = f'{committed}{leads}{digest}"'
        if f"{{{said}}}" != data_json or '"' in ts or "\\" in ts:
            raise AuditError(f"entry {seq} is not in its one form")
        return sha256(
            f'\0{{"data":{{{committed}}},"seq":{seq},"ts":"{ts}","type":"{kind}"}}'.encode()
        ).digest()

    return leaf


def own_leaf_hasher(seed: bytes) -> Callable[[int, str, str, str], bytes]:
    """As `leaf_hasher`, for entries whose texts this process has just made: they are not doubted again.

    Every append waits for it, so it repeats the loop above with less in it.
    """
    shapes: dict[tuple[str, ...], _Shape] = {}
    sha256, seeded, parse = hashlib.sha256, hashlib.shake_256(seed), _parse

    def leaf(seq: int, ts: str, kind: str, data_json: str) -> bytes:
        data = parse(data_json)
        key = (kind, *data)
        shape = shapes.get(key)
        if shape is None:
            shape = shapes[key] = _shape(key)
        fields, length = shape
        salting = seeded.copy()
        salting.update(seq.to_bytes(8, "big"))
        stream = salting.digest(length)
        simple = data_json.isascii() and "\\" not in data_json
        committed = ""
        for (_, alone, leads, start, end), value in zip(fields, data.values(), strict=False):
            # Where no escape stands in the whole, every text stands in it as it is.
            text = f'"{value}"' if simple and type(value) is str else canonical_value(value)
            digest = sha256(stream[start:end] + f"{alone}{text}}}".encode()).hexdigest()
            committed = f'{committed}{leads}{digest}"'
        return sha256(
            f'\0{{"data":{{{committed}}},"seq":{seq},"ts":"{ts}","type":"{kind}"}}'.encode()
        ).digest()

    return leaf


def _shape(key: tuple[str, ...]) -> _Shape:
    """What all entries of one type with the same fields share."""
    kind, *names = key
    if names != sorted(names) or not TYPE_NAME.fullmatch(kind):
        raise AuditError("the fields of an entry are not in order, or its type is none")
    fields = []
    for number, name in enumerate(names):
        start, text = SALT_BYTES * number, canonical_value(name) + ":"
        field = f",{text}" if number else text
        fields.append((field, f"{{{text}", f'{field}"', start, start + SALT_BYTES))
    return fields, SALT_BYTES * len(names)
