"""`--volume` and `volumes`: names, targets, and what may not lie in what."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import Mount, Volume, joined_volumes, parse_volume
from engine.errors import UsageError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cache:/cache", "cache:/cache:rw"),
        ("cache:/var/cache/:ro", "cache:/var/cache:ro"),
        ("a.b-c_1:/x/../y:rw", "a.b-c_1:/y:rw"),
        ("cache:/workspaces", "cache:/workspaces:rw"),
    ],
)
def test_a_volume_is_what_it_says(text, said):
    assert str(parse_volume(text)) == said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cache", "expected NAME:TARGET"),
        ("cache:", "expected NAME:TARGET"),
        ("cache:/c:rx", "expected NAME:TARGET"),
        ("cache:/c:ro:ro", "expected NAME:TARGET"),
        ("/host/dir:/c", "name of small letters"),
        ("..:/c", "name of small letters"),
        (".hidden:/c", "name of small letters"),
        ("Cache:/c", "name of small letters"),
        ("a/b:/c", "name of small letters"),
        ("n" * 64 + ":/c", "name of small letters"),
        ("cache:c", "an absolute path"),
        ("cache:/c\x1b", "control character"),
        ("cache:/", "is taken"),
        ("cache:/c/..", "is taken"),
        ("cache:/proc/1", "is taken"),
        ("cache:/moat/ca", "is taken"),
        ("cache:/run", "is taken"),
        ("cache:/run/moat", "is taken"),
        ("cache:/workspace", "overlaps the workspace"),
        ("cache:/workspace/node_modules", "overlaps the workspace"),
        ("cache:/x/../workspace/.git", "overlaps the workspace"),
    ],
)
def test_anything_else_is_refused(text, words):
    with pytest.raises(UsageError, match=words):
        parse_volume(text)


def mount(target):
    return Mount(Path("/host"), target)


@pytest.mark.parametrize(
    ("volumes", "mounts"),
    [
        (["a:/data"], [mount("/data")]),
        (["a:/data"], [mount("/data/sub")]),
        (["a:/data/sub"], [mount("/data")]),
        (["a:/data", "b:/data"], []),
        (["a:/data/b", "b:/data"], []),
        (["a:/a", "a:/b"], []),
        ([f"v{number}:/v{number}" for number in range(17)], []),
    ],
)
def test_nothing_lies_in_what_is_the_agents(volumes, mounts):
    with pytest.raises(UsageError):
        joined_volumes((), map(parse_volume, volumes), mounts)


def test_the_persons_own_word_counts():
    asked = (Volume("a", "/a"), Volume("b", "/b"))
    given = (Volume("a", "/elsewhere", read_only=True),)
    mounts = (mount("/data"), mount("/workspace"))
    assert joined_volumes(asked, given, mounts) == (asked[1], *given)
