"""One value of a configuration file with its place in it: typed getters, and errors that say all.

Every error names file, line, dotted key, what was expected and what was found. Values of `env` and
`secrets` are never quoted, because people put real ones there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.config.yaml_tree import Items, Mapping, Node, Scalar
from engine.errors import ConfigError, UsageError

_WHOLE = re.compile(r"0|[1-9][0-9]{0,14}")
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?")
_TRUE = {"true", "yes", "on"}


class Value:
    """`key` is dotted, list items are `grants[0]`.

    private: the value is not quoted in errors. verbatim: its text may be empty and hold any
    character but NUL.
    """

    def __init__(self, file: Path, key: str, node: Node, line: int = 0) -> None:
        self.file = file
        self.key = key
        self.node = node
        self.line = line or node.line
        self.private = False
        self.verbatim = False

    def wrong(self, expected: str, *, remedy: str = "") -> ConfigError:
        return self.refused(f"expected {expected}, found {self._found()}", remedy=remedy)

    def refused(self, why: str, *, remedy: str = "") -> ConfigError:
        where = f"{self.key}: " if self.key else ""
        return ConfigError(where + why, file=self.file, line=self.line, key=self.key, remedy=remedy)

    def explained(self, error: UsageError) -> ConfigError:
        """The same complaint as about a command-line option, told about this line instead."""
        return self.refused(error.what, remedy=error.remedy)

    @property
    def empty(self) -> bool:
        """Nothing was written behind the key, or an empty list or mapping."""
        node = self.node
        if isinstance(node, Scalar):
            return node.kind == "nothing"
        return not (node.nodes if isinstance(node, Items) else node.entries)

    def text(self, expected: str = "text") -> str:
        """Quoted or plain text; a number or boolean is refused, since YAML may have read it otherwise
        than it was meant."""
        if isinstance(self.node, Scalar):
            if self.node.kind == "text":
                return self._clean(self.node.text, expected)
            if self.node.kind in ("number", "bool"):
                raise self.wrong(expected, remedy="Put it in quotes if it is meant as text.")
        raise self.wrong(expected)

    def text_or_number(self, expected: str = "text or a number") -> str:
        """As `text`, and numbers exactly as written (`1.10` stays `1.10`)."""
        if isinstance(self.node, Scalar) and self.node.kind == "number":
            return self.node.text
        return self.text(expected)

    def matching(self, pattern: re.Pattern[str], expected: str, *, numbers: bool = False) -> str:
        text = self.text_or_number(expected) if numbers else self.text(expected)
        if not pattern.fullmatch(text):
            raise self.wrong(expected)
        return text

    def choice(self, choices: Sequence[str]) -> str:
        expected = " or ".join(choices)
        text = self.text(expected)
        if text not in choices:
            raise self.wrong(expected, remedy=nearest(text, choices))
        return text

    def flag(self) -> bool:
        if isinstance(self.node, Scalar) and self.node.kind == "bool":
            return self.node.text.lower() in _TRUE
        raise self.wrong("true or false")

    def whole(self, low: int, high: int, unit: str) -> int:
        expected = f"a whole number of {unit} from {low} to {high}"
        if isinstance(self.node, Scalar) and self.node.kind == "number" and _WHOLE.fullmatch(self.node.text):
            number = int(self.node.text)
            if low <= number <= high:
                return number
        raise self.wrong(expected)

    def decimal(self, low: float, high: float, unit: str) -> float:
        expected = f"a number of {unit} from {low:g} to {high:g}"
        if (
            isinstance(self.node, Scalar)
            and self.node.kind == "number"
            and _DECIMAL.fullmatch(self.node.text)
        ):
            number = float(self.node.text)
            if low <= number <= high:
                return number
        raise self.wrong(expected)

    def items(self, of: str) -> list[Value]:
        """The items of a list; nothing behind the key is an empty list."""
        if isinstance(self.node, Items):
            return [self._inner(f"{self.key}[{i}]", node) for i, node in enumerate(self.node.nodes)]
        if self.empty and isinstance(self.node, Scalar):
            return []
        raise self.wrong(f"a list of {of}", remedy=f"Write each on its own line under {self.key}: as `- …`.")

    def pairs(self, of: str) -> dict[str, Value]:
        """The entries of a mapping with free keys; nothing behind the key is an empty mapping."""
        if isinstance(self.node, Mapping):
            prefix = f"{self.key}." if self.key else ""
            return {
                entry.key: self._inner(prefix + entry.key[:60], entry.value, entry.line)
                for entry in self.node.entries
            }
        if self.empty and isinstance(self.node, Scalar):
            return {}
        raise self.wrong(f"a mapping of {of}")

    def section(self, known: Iterable[str]) -> dict[str, Value]:
        """The entries of a mapping whose keys are fixed; an unknown key is an error naming the nearest."""
        names = sorted(known)
        entries = self.pairs("keys to values")
        for name, value in entries.items():
            if name not in names:
                where = f" in {self.key}" if self.key else ""
                raise ConfigError(
                    f"unknown key {shown(name)}{where}: expected one of {', '.join(names)}",
                    file=self.file,
                    line=value.line,
                    key=value.key,
                    remedy=nearest(name, names),
                )
        return entries

    def _inner(self, key: str, node: Node, line: int = 0) -> Value:
        inner = Value(self.file, key, node, line)
        inner.private, inner.verbatim = self.private, self.verbatim
        return inner

    def _clean(self, text: str, expected: str) -> str:
        if "\0" in text:
            raise self.refused(f"expected {expected}, found a NUL character in it")
        if not self.verbatim:
            if not text.strip():
                raise self.wrong(expected)
            if not text.isprintable():
                raise self.refused(f"expected {expected} on one line, found a control character in it")
        return text

    def _found(self) -> str:
        node = self.node
        if isinstance(node, Items):
            return "a list" if node.nodes else "an empty list"
        if isinstance(node, Mapping):
            return "a mapping" if node.entries else "an empty mapping"
        if node.kind == "nothing":
            return "nothing"
        if node.kind == "text":
            return "text" if self.private else shown(node.text)
        kind = "the boolean" if node.kind == "bool" else "the number"
        return kind.removeprefix("the ") if self.private else f"{kind} {node.text[:40]}"


def shown(text: str, longest: int = 48) -> str:
    """Foreign text inside an error: quoted, escaped and short."""
    return repr(text if len(text) <= longest else text[: longest - 1] + "…")


def nearest(name: str, known: Iterable[str]) -> str:
    """`Did you mean 'grants'?`, or nothing when no known name is near."""
    found = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return f"Did you mean {found[0]!r}?" if found else ""
