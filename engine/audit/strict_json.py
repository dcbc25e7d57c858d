"""JSON that means one thing to every reader: what two parsers could take differently is refused.

Refused are keys given twice, NaN and Infinity, and what is nested beyond all use. A fraction, an exponent
and a number of more than 19 digits become a NotWhole: harmless where nobody asks for the value, and an
error wherever a text is made from it.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

MAX_DEPTH = 64
DIGITS = 19  # of an integer


class NotWhole:
    """Stands for a number that is no integer within reach."""


_NOT_WHOLE = NotWhole()


def strict_json(data: str | bytes) -> Any:  # noqa: ANN401 - a document of any kind
    """The document in `data`. Raises ValueError, for whatever is not the strict form."""
    try:
        text = data.decode() if isinstance(data, bytes) else data
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_not_whole,
            parse_int=_whole,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if deeper_than(value, MAX_DEPTH):
        raise ValueError("nested too deeply")
    return value


def quick_json(data: bytes) -> Any:  # noqa: ANN401 - a document of any kind
    """As strict_json, and several times as fast for what is in its one compact form, as our exports are.

    What prints again as the very bytes that were read can have been read in one way only. Here integers of
    more than 19 digits are integers still.
    """
    trimmed = data.removesuffix(b"\n")
    try:
        value = _decode(trimmed)
        if go_escaped(msgspec.json.encode(value)) == trimmed and not deeper_than(value, MAX_DEPTH):
            return value
    except (ValueError, RecursionError):
        pass  # the strict reader has the last word, and the words
    return strict_json(data)


def go_escaped(text: bytes) -> bytes:
    """Compact JSON with the five characters escaped that Go escapes; they only stand inside strings."""
    for raw, escaped in _ESCAPES:
        if raw in text:
            text = text.replace(raw, escaped)
    return text


_ESCAPES = [(char.encode(), f"\\u{ord(char):04x}".encode()) for char in "<>&\u2028\u2029"]


def no_float(text: str) -> NoReturn:
    raise ValueError(text)


_decode = msgspec.json.Decoder(float_hook=no_float).decode


def deeper_than(value: object, most: int) -> bool:
    """Level by level, so that no depth can exhaust a stack."""
    level = [value]
    for _ in range(most):
        if not level:
            return False
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice in one object")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _whole(text: str) -> int | NotWhole:
    return int(text) if len(text.lstrip("-")) <= DIGITS else _NOT_WHOLE


def _not_whole(text: str) -> NotWhole:
    return _NOT_WHOLE
