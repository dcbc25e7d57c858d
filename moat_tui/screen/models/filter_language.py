"""The language of the requests' filter, as plain code: text in, a predicate or an error with its place out.

    host:github status:>=400          both must hold
    method:POST,PUT                   one of them
    ms:100..500  bytes:>10k           numbers: = < <= > >= and ranges; k and m multiply
    is:open  run:review               not over yet; of the runs with this in their name
    !decision:denied  !telemetry      the opposite
    "two words"  path:"/a b"          quoted; anything without a field is looked for in the URL

Text matches anywhere in a field, whatever its case; `=text` must be the whole of it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from moat_tui.screen.models.request_state import run_of, state_of

if TYPE_CHECKING:
    from engine import RequestRecord

type Predicate = Callable[[RequestRecord], bool]


@dataclass
class FilterError(Exception):
    """message: what is wrong. at: where in the text, from 0."""

    message: str
    at: int

    def __str__(self) -> str:
        return self.message


def path_of(record: RequestRecord) -> str:
    """The URL's path with its query."""
    try:
        parts = urlsplit(record.url)
    except ValueError:
        return record.url
    return parts.path + (f"?{parts.query}" if parts.query else "")


TEXTS: dict[str, Callable[[RequestRecord], str]] = {
    "host": lambda record: record.host,
    "path": path_of,
    "url": lambda record: record.url,
    "method": lambda record: record.method,
    "grant": lambda record: record.grant,
    "decision": lambda record: record.decision,
    "rule": lambda record: record.rule,
    "error": lambda record: record.error,
    "id": lambda record: record.id,
    "run": run_of,
    "is": state_of,
    "state": state_of,
}
NUMBERS: dict[str, Callable[[RequestRecord], int]] = {
    "status": lambda record: record.status_code,
    "ms": lambda record: record.duration_ms,
    "ttfb": lambda record: record.ttfb_ms,
    "bytes": lambda record: record.bytes_in + record.bytes_out,
    "in": lambda record: record.bytes_in,
    "out": lambda record: record.bytes_out,
}
FIELDS = (*TEXTS, *NUMBERS)

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}
_NUMBER = re.compile(r"(\d{1,15})([km]?)", re.IGNORECASE)
_CLASS = re.compile(r"[1-5]xx", re.IGNORECASE)
_FIELD = re.compile(r"([A-Za-z]+):")


def compile_filter(text: str) -> Predicate | None:
    """What `text` asks for; None when it asks for nothing. Raises FilterError."""
    terms = [_term(word, at) for word, at in _words(text)]
    if not terms:
        return None
    if len(terms) == 1:
        return terms[0]
    return lambda record: all(term(record) for term in terms)


def finished(text: str) -> str:
    """`text` without a last word that may become a field's name: `ms` is on its way to `ms:>500`, and
    looking for it in the URL meanwhile would empty the list under the writer's hands."""
    before, blank, word = text.rpartition(" ")
    word = word.lstrip("!").lower()
    return before + blank if word and any(name.startswith(word) for name in FIELDS) else text


def _words(text: str) -> list[tuple[str, int]]:
    """Split at blanks outside quotes; quotes are kept, and must be closed."""
    words: list[tuple[str, int]] = []
    start, quote = -1, -1
    for at, letter in enumerate(text):
        if letter == '"':
            quote = at if quote < 0 else -1
        if letter.isspace() and quote < 0:
            if start >= 0:
                words.append((text[start:at], start))
            start = -1
        elif start < 0:
            start = at
    if quote >= 0:
        raise FilterError("this quote is not closed", quote)
    if start >= 0:
        words.append((text[start:], start))
    return words


def _term(word: str, at: int) -> Predicate:
    if word.startswith("!"):
        if word == "!":
            raise FilterError("! needs something after it", at)
        inner = _term(word[1:], at + 1)
        return lambda record: not inner(record)
    found = _FIELD.match(word)
    if found is None or word.startswith(("http:", "https:")):
        return _text(TEXTS["url"], [word])
    name, after = found[1].lower(), at + found.end()
    if name not in FIELDS:
        raise FilterError(f"no field is called {found[1]}; there are {', '.join(FIELDS)}", at)
    values = _alternatives(word[found.end() :])
    if not all(_unquoted(value) for value in values):
        raise FilterError(f"{name}: needs a value", after)
    if name in TEXTS:
        return _text(TEXTS[name], values)
    return _number(NUMBERS[name], name, values, after)


def _alternatives(text: str) -> list[str]:
    """Split at commas outside quotes."""
    return re.findall(r'(?:"[^"]*"|[^,"])+', text) if text.strip(",") == text and text else [""]


def _unquoted(text: str) -> str:
    return text.replace('"', "")


def _text(field: Callable[[RequestRecord], str], values: list[str]) -> Predicate:
    whole = {_unquoted(value[1:]).lower() for value in values if value.startswith("=") and len(value) > 1}
    parts = [_unquoted(value).lower() for value in values if not (value.startswith("=") and len(value) > 1)]
    if not whole and len(parts) == 1:
        part = parts[0]
        return lambda record: part in field(record).lower()

    def holds(record: RequestRecord) -> bool:
        value = field(record).lower()
        return value in whole or any(part in value for part in parts)

    return holds


def _number(field: Callable[[RequestRecord], int], name: str, values: list[str], at: int) -> Predicate:
    tests = [_comparison(name, _unquoted(value), at) for value in values]
    return lambda record: any(test(field(record)) for test in tests)


def _comparison(name: str, value: str, at: int) -> Callable[[int], bool]:
    if name == "status" and _CLASS.fullmatch(value):
        hundred = int(value[0])
        return lambda number: number // 100 == hundred
    low, dots, high = value.partition("..")
    if dots:
        first = _amount(name, low, at) if low else 0
        last = _amount(name, high, at) if high else 10**18
        if not low and not high:
            raise FilterError(f"{name}: a range needs an end, as in 100..500", at)
        return lambda number: first <= number <= last
    for sign, compare in _COMPARE.items():
        if value.startswith(sign):
            bound = _amount(name, value[len(sign) :], at)
            return lambda number: compare(number, bound)
    exact = _amount(name, value, at)
    return lambda number: number == exact


def _amount(name: str, text: str, at: int) -> int:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise FilterError(f"{name}: needs a number, as in {name}:>=400 or {name}:400..499", at)
    return int(found[1]) * _UNITS[found[2].lower()]
