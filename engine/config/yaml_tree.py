"""A YAML file as a small tree that remembers its lines, read without trusting it.

The workspace belongs to the agent, so the file may be anything: a pipe, a gigabyte, ten nested aliases
that unfold to a billion nodes, a hundred thousand brackets. The tree is built from parser events with
bounds on size, depth and unfolded nodes, and no tag ever constructs an object.

Plain words follow YAML 1.1 (`yes` is a boolean) with one exception: `22:22` is text, not base sixty.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import yaml

from engine.errors import ConfigError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 24
MAX_NODES = 10_000  # after aliases are unfolded

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times as fast
_TAG = "tag:yaml.org,2002:"
_KINDS = {"str": "text", "int": "number", "float": "number", "bool": "bool", "null": "nothing"}


class Scalar(msgspec.Struct, frozen=True):
    """kind: text, number, bool or nothing; text: as written, without quotes."""

    kind: str
    text: str
    line: int


class Items(msgspec.Struct, frozen=True):
    nodes: tuple[Node, ...]
    line: int


class Entry(msgspec.Struct, frozen=True):
    key: str
    value: Node
    line: int


class Mapping(msgspec.Struct, frozen=True):
    entries: tuple[Entry, ...]
    line: int


type Node = Scalar | Items | Mapping


def read_yaml(file: Path) -> Node | None:
    """The tree of `file`, None when it holds nothing. Raises ConfigError."""
    text = _read_text(file)
    try:
        return _Builder(text, file).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "it cannot be parsed"
        column = f" (column {mark.column + 1})" if mark else ""
        raise ConfigError(
            f"not valid YAML: {reason}{column}",
            file=file,
            line=mark.line + 1 if mark else 0,
            remedy="Check indentation (spaces, not tabs), colons and closing quotes or brackets there.",
        ) from None
    except yaml.YAMLError:  # the reader's own errors carry no line
        raise ConfigError(
            "not valid YAML: it holds a control character", file=file, line=_line_of_control(text)
        ) from None


def _read_text(file: Path) -> str:
    try:
        os.stat(file)
        # O_NONBLOCK: a pipe planted under this name must not hang us before it is recognised. O_NOFOLLOW: a
        # link planted here would have a file of the host's, a key even, quoted in errors or taken as `env`.
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ConfigError(
                "expected a file, found a symbolic link", file=file, remedy="Put the file itself there."
            ) from error
        raise ConfigError(f"it cannot be read: {error.strerror}", file=file) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError("expected a file, found a directory or device", file=file)
        data = bytearray()
        while len(data) <= MAX_BYTES and (part := os.read(fd, MAX_BYTES + 1 - len(data))):
            data += part
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}", file=file) from error
    finally:
        os.close(fd)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"expected at most {MAX_BYTES // 1024} KiB, found more", file=file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            "expected UTF-8 text, found other bytes", file=file, line=line, remedy="Save the file as UTF-8."
        ) from None


def _line_of_control(text: str) -> int:
    for number, line in enumerate(text.split("\n"), start=1):
        if any(not char.isprintable() and char not in "\t\r\x85\ufeff" for char in line):
            return number
    return 0


class _Builder:
    def __init__(self, text: str, file: Path) -> None:
        self._loader = _Loader(text)
        self._file = file
        self._anchors: dict[str, tuple[Node, int]] = {}  # node and how many nodes it unfolds to
        self._nodes = 0

    def document(self) -> Node | None:
        loader = self._loader
        try:
            loader.get_event()  # the stream's start
            if loader.check_event(yaml.StreamEndEvent):
                return None
            loader.get_event()  # the document's start
            node = self._node(0)
            loader.get_event()  # the document's end
            if not loader.check_event(yaml.StreamEndEvent):
                line = loader.peek_event().start_mark.line + 1
                raise ConfigError("expected one document, found a second", file=self._file, line=line)
            return node
        finally:
            loader.dispose()

    def _node(self, depth: int) -> Node:
        event = self._loader.get_event()
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._wrong(f"expected an anchor &{event.anchor} above, found none", line)
            node, size = self._anchors[event.anchor]
            self._count(size, line)
            return node
        before = self._nodes
        self._count(1, line)
        if depth > MAX_DEPTH:
            raise self._wrong(f"expected at most {MAX_DEPTH} levels of nesting, found more", line)
        if isinstance(event, yaml.ScalarEvent):
            node = Scalar(self._kind(event, line), event.value, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._plain_tag(event.tag, "seq", line)
            node = Items(tuple(self._until(yaml.SequenceEndEvent, depth)), line)
        else:
            self._plain_tag(event.tag, "map", line)
            node = Mapping(self._entries(depth), line)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._nodes - before)
        return node

    def _until(self, end: type[yaml.Event], depth: int) -> list[Node]:
        nodes = []
        while not self._loader.check_event(end):
            nodes.append(self._node(depth + 1))
        self._loader.get_event()
        return nodes

    def _entries(self, depth: int) -> tuple[Entry, ...]:
        entries: dict[str, Entry] = {}
        while not self._loader.check_event(yaml.MappingEndEvent):
            key = self._node(depth + 1)
            if not isinstance(key, Scalar):
                raise self._wrong("expected a plain key, found a list or mapping as key", key.line)
            if key.text == "<<":
                raise self._wrong("expected a plain key, found a merge key (<<)", key.line)
            if key.text in entries:
                first = entries[key.text].line
                raise ConfigError(
                    f"expected each key once, found {key.text[:40]!r} again (first on line {first})",
                    file=self._file,
                    line=key.line,
                    key=key.text,
                    remedy="Remove one of the two.",
                )
            entries[key.text] = Entry(key.text, self._node(depth + 1), key.line)
        self._loader.get_event()
        return tuple(entries.values())

    def _kind(self, event: yaml.ScalarEvent, line: int) -> str:
        tag = event.tag
        if tag is None or tag == "!":
            tag = str(self._loader.resolve(yaml.ScalarNode, event.value, event.implicit))
            kind = _KINDS.get(tag.removeprefix(_TAG), "text")  # a date or `=` is text to us
            return "text" if kind == "number" and ":" in event.value else kind
        if tag.removeprefix(_TAG) not in _KINDS:
            raise self._wrong(f"expected no tag, found {tag[:60]!r}", line)
        return _KINDS[tag.removeprefix(_TAG)]

    def _plain_tag(self, tag: str | None, name: str, line: int) -> None:
        if tag not in (None, "!", _TAG + name):
            raise self._wrong(f"expected no tag, found {tag[:60]!r}", line)

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._wrong(f"expected at most {MAX_NODES} values, found more (aliases unfolded)", line)

    def _wrong(self, what: str, line: int) -> ConfigError:
        return ConfigError(what, file=self._file, line=line)
