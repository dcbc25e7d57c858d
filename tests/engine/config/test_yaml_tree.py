"""The reader of foreign YAML: lines are kept, and nothing hostile costs time, memory or an object."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import yaml_tree
from engine.config.yaml_tree import Items, Mapping, Scalar, read_yaml
from engine.errors import ConfigError


def read(tmp_path: Path, text: str | bytes) -> object:
    file = tmp_path / "x.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(file)


def refused(tmp_path: Path, text: str | bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    return caught.value


def test_lines_and_kinds_are_kept(tmp_path: Path) -> None:
    tree = read(tmp_path, "a: 1\nb:\n  - x\n  - true\n  - '2'\n  - 22:22\n  - 2024-01-01\n  -\n")
    assert isinstance(tree, Mapping)
    assert [(entry.key, entry.line) for entry in tree.entries] == [("a", 1), ("b", 2)]
    items = tree.entries[1].value
    assert isinstance(items, Items)
    assert [(node.kind, node.text, node.line) for node in items.nodes if isinstance(node, Scalar)] == [
        ("text", "x", 3),
        ("bool", "true", 4),
        ("text", "2", 5),
        ("text", "22:22", 6),
        ("text", "2024-01-01", 7),
        ("nothing", "", 8),
    ]


def test_an_alias_is_unfolded(tmp_path: Path) -> None:
    tree = read(tmp_path, "a: &x [1]\nb: *x\n")
    assert isinstance(tree, Mapping)
    assert tree.entries[0].value == tree.entries[1].value


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "each key once, found 'a' again (first on line 1)"),
        ("x:\n  a: 1\n  'a': 3\n", 3, "found 'a' again"),
        ("a: [1,\nb: ]}", 2, "not valid YAML"),
        ("a:\n\t- b", 2, "column 1"),
        ("a: 'x\n", 2, "not valid YAML"),
        ("a: *no\n", 1, "found none"),
        ("a: &x [*x]\n", 1, "found none"),
        ("a: !!python/object:os.system x\n", 1, "expected no tag"),
        ("!!python/object/apply:os.system [x]\n", 1, "expected no tag"),
        ("a: !secret {b: c}\n", 1, "expected no tag"),
        ("a: {<<: {b: 1}}\n", 1, "merge key"),
        ("? [a]\n: 1\n", 1, "a list or mapping as key"),
        ("a: 1\n---\nb: 2\n", 2, "one document"),
        (b"a: 1\nb: \xff\n", 2, "UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "UTF-8"),
        ("a: 1\nb: \x07\n", 2, "control character"),
        ("[" * 30, 1, "levels of nesting"),
        ("- " * 30, 1, "levels of nesting"),
    ],
)
def test_broken_yaml_names_its_line(tmp_path: Path, text: str | bytes, line: int, words: str) -> None:
    error = refused(tmp_path, text)
    assert words in str(error)
    assert error.line == line


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        "- " * 400_000,
        "{a: " * 200_000,
        "- a\n" * 200_000,
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
            for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ),
    ],
    ids=["brackets", "dashes", "braces", "long", "billion laughs"],
)
def test_bombs_are_refused_quickly(tmp_path: Path, text: str) -> None:
    started = time.process_time()
    refused(tmp_path, text)
    assert time.process_time() - started < 1.0


def test_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    assert "at most 1024 KiB" in str(refused(tmp_path, "#" * (yaml_tree.MAX_BYTES + 1)))
    assert read(tmp_path, "#" * yaml_tree.MAX_BYTES) is None


def test_the_slow_loader_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = read(tmp_path, "a: [1, x]\nb: {c: yes}\n")
    monkeypatch.setattr(yaml_tree, "_Loader", yaml_tree.yaml.SafeLoader)
    assert read(tmp_path, "a: [1, x]\nb: {c: yes}\n") == fast
    assert refused(tmp_path, "a: 1\nb: \x07\n").line == 2
    assert refused(tmp_path, "a: [1,\nb: ]}").line == 2


@given(st.binary(max_size=200) | st.text(alphabet="[]{}:-&*!|>'\"#\n\t ,?ab1", max_size=60).map(str.encode))
def test_no_input_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_bytes(data)
    with contextlib.suppress(ConfigError):
        read_yaml(file)
