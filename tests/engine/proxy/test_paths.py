"""Threat 29: paths are judged as they are sent, and what has no sound reading is not judged at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.proxy.paths import AmbiguousPath, PathPattern, readings


@pytest.mark.parametrize(
    "path",
    [
        "/a/../b", "/a/./b", "/..", "/a/..%2fb", "/a/%2e%2e/b", "/a/.%2E/b", "//a", "/a//b", "/a/%2f/b",
        "/a\\..\\b", "/a%5cb", "/a/..;/b", "/a/..;x=1/b", "/a/..%3bx/b", "/a/;x/b", "/%252e%252e/b",
        "/a%252fb", "/%c0%ae%c0%ae/b", "/%c0%af", "/%e0%80%af", "/a%00b", "/a%0d%0ab", "/a%", "/a%2", "/a%zz",
        "/%61dmin", "/a\xe9", "/a#b", "/a%23b", "/a%3fb", "/\uff0f", "/%ef%bc%8e%ef%bc%8e/b", "/%ed%a0%80",
        "/%ef%bc%8f", "/a%e2%80%a8b", "/" + "a/" * 300,
    ],
)  # fmt: skip
def test_threat_29_no_sound_reading(path: str) -> None:
    with pytest.raises(AmbiguousPath):
        readings(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ((),)),
        ("*", ((),)),
        ("/a/b/?x=../..//%2e", (("a", "b"),)),
        ("/%7Euser/caf%c3%A9/a%20b", (("~user", "café", "a b"),)),
        ("/@scope%2fname", (("@scope/name",), ("@scope", "name"))),
        ("/a;v=1/b", (("a;v=1", "b"), ("a", "b"))),
        ("/...", (("...",),)),
        ("/a%25", (("a%",),)),
    ],
)
def test_what_a_server_could_read(path: str, expected: tuple[tuple[str, ...], ...]) -> None:
    assert readings(path) == expected


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("/**", ["/", "/a", "/a/b"], []),
        ("/a", ["/a", "/a/"], ["/", "/A", "/ab", "/a/b"]),
        ("/a/**", ["/a", "/a/", "/a/b/c"], ["/", "/ab", "/b/a"]),
        ("/a/*", ["/a/b", "/a/b/"], ["/a", "/a/b/c"]),
        ("/**/x", ["/x", "/a/x", "/a/b/x"], ["/", "/x/a"]),
        ("/a/**/b/**/c", ["/a/b/c", "/a/1/b/2/3/c"], ["/a/c", "/a/b"]),
        ("/r/*.json", ["/r/a.json", "/r/.json"], ["/r/a.jsonx", "/r/a/b.json"]),
        ("/a*b*c", ["/abc", "/aXbYc", "/abbcc"], ["/acb", "/ab", "/Xabc"]),
        ("/ab*ba", ["/abba", "/abXba"], ["/aba"]),
        ("/a%20b", ["/a%20b"], ["/a+b"]),
        ("/~u", ["/%7Eu", "/~u"], []),
    ],
)
def test_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    compiled = PathPattern(pattern)
    for path in yes:
        assert compiled.matches(readings(path)[0]), path
    for path in no:
        assert not compiled.matches(readings(path)[0]), path


_segments = st.text(alphabet="ab", min_size=1, max_size=3)


@given(
    st.lists(st.sampled_from(["*", "**", "a", "a*", "*b", "a*b"]), min_size=1, max_size=5),
    st.lists(_segments, max_size=5),
)
def test_patterns_agree_with_the_plain_regular_expression(parts: list[str], path: list[str]) -> None:
    expression = ""
    for part in parts:
        expression += r"(/[^/]+)*" if part == "**" else "/" + re.escape(part).replace(r"\*", "[^/]*")
    expected = re.fullmatch(expression, "".join("/" + segment for segment in path)) is not None
    assert PathPattern("/" + "/".join(parts)).matches(tuple(path)) == expected


@given(st.text(alphabet="ab/.;%2fFeE5cC\\", max_size=12))
def test_threat_29_no_reading_climbs_or_hides_a_separator(tail: str) -> None:
    try:
        found = readings("/" + tail)
    except AmbiguousPath:
        return
    for reading in found:
        assert not {"", ".", ".."} & set(reading)
        assert not any("\\" in segment or "%2" in segment.lower() for segment in reading)
    assert any("/" not in "".join(reading) for reading in found)
