"""The one text form of an entry's data, and the hash that chains an entry to the one before it.

Source: the Go Moat's format, v1 ("Audit entry, v1"). The text is what Go's `encoding/json` prints for a
map: keys sorted, no spaces, UTF-8 as it is, `<` `>` `&` U+2028 U+2029 as `\\u003c` …, control
characters as `\\b \\f \\n \\r \\t` or `\\u00xx`. What Go and Python would print differently (floats,
integers beyond 2^53) is refused, so that a hash made here can be made again anywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.errors import AuditError

MAX_INTEGER = 2**53
MAX_DEPTH = 16
MAX_DATA = 16 * 1024 * 1024  # characters of data in one entry

# These five can only stand inside a JSON string, so replacing them in the finished text is safe.
_GO_ESCAPES = tuple((char, f"\\u{ord(char):04x}") for char in "<>&\u2028\u2029")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Entry(msgspec.Struct, frozen=True):
    """One link of the chain. `data` is `data_json` parsed; `data_json` is the exact text that was hashed.

    seq counts from 1; ts is RFC 3339 UTC; prev is the previous entry's hash ("" for the first); hash is
    64 lower-case hex digits.
    """

    seq: int
    ts: str
    type: str
    prev: str
    data: dict[str, Any]
    data_json: str
    hash: str


def canonical_json(data: Mapping[str, Any]) -> str:
    """`data` as the text that is stored and hashed, keys sorted at every level.

    A lone surrogate in a value (bytes of an agent that are no UTF-8, read with `surrogateescape`)
    becomes U+FFFD, as Go prints each invalid byte. Raises AuditError for floats, integers beyond 2^53,
    keys that are not proper text, other types, and data nested or grown beyond all use.
    """
    return _text(_plain(data, replace=True, ordered=True, depth=0))


def canonical_value(value: object) -> str:
    """A value as it stands in `canonical_json`; raises the same errors."""
    if type(value) is str and value.isascii():  # most are, and need no closer look
        return _text(value)
    if type(value) is bool:
        return "true" if value else "false"
    return _text(_plain(value, replace=True, ordered=True, depth=1))


def ordered_json(data: Mapping[str, Any], order: Sequence[str] = ()) -> str:
    """As canonical_json, but the top level's keys in `order` (all of them sorted when empty).

    For judging what others wrote: nothing is replaced and nothing is left out, so a lone surrogate and a
    key that is not in `order` are AuditErrors here.
    """
    if order:
        if not data.keys() <= set(order):
            raise AuditError("audit data has a field that its type does not have")
        data = {name: data[name] for name in order if name in data}
    return _text(_plain(data, replace=False, ordered=not order, depth=0))


def entry_hash(seq: int, ts: str, type: str, prev: str, data_json: str) -> str:
    """hex(SHA-256(u64 big-endian seq ‖ ts ‖ type ‖ prev ‖ data_json)), without separators."""
    return hashlib.sha256(seq.to_bytes(8, "big") + (ts + type + prev + data_json).encode()).hexdigest()


def _text(plain: object) -> str:
    text = _encode(plain)
    for char, escape in _GO_ESCAPES:
        text = text.replace(char, escape)
    if len(text) > MAX_DATA:
        raise AuditError(f"an audit entry of {len(text)} characters is too large (limit {MAX_DATA})")
    return text


def _plain(value: object, *, replace: bool, ordered: bool, depth: int) -> object:
    """`value` with nothing in it but str, bool, int, None, list and dict with keys in writing order."""
    if depth > MAX_DEPTH:
        raise AuditError(f"audit data is nested more than {MAX_DEPTH} deep")
    match value:
        case None | bool():
            return value
        case str():
            return _well_formed(value, replace=replace)
        case int():
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise AuditError("audit data holds an integer beyond 2^53")
            return int(value)
        case Mapping():
            for key in value:
                if not isinstance(key, str) or _LONE_SURROGATE.search(key):
                    raise AuditError("audit data has a key that is not text")
            keys = sorted(value) if ordered else list(value)
            return {str(k): _plain(value[k], replace=replace, ordered=True, depth=depth + 1) for k in keys}
        case list() | tuple():
            return [_plain(item, replace=replace, ordered=True, depth=depth + 1) for item in value]
    raise AuditError(f"audit data cannot hold a {type(value).__name__}")


def _well_formed(text: str, *, replace: bool) -> str:
    if text.isascii() or not _LONE_SURROGATE.search(text):
        return str(text)
    if not replace:
        raise AuditError("audit data holds text that is not Unicode")
    return _LONE_SURROGATE.sub("\ufffd", text)
