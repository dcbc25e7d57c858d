"""One spelling of what a grant is narrowed to, and which of two is wider."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import GrantWish, Limits, load_agent_config, parse_grant
from engine.errors import ConfigError, UsageError
from engine.events import grant_provider

FULL = "github:ro;methods=GET|HEAD;paths=/repos/me/**|/a%2Cb;max_requests=100;expires_in=1h"


@pytest.mark.parametrize(
    "text", ["github", "github:ro", "ssh:github.com", "brave-search;max_requests=1", FULL]
)
def test_what_is_written_is_read_again(text: str) -> None:
    assert str(parse_grant(text)) == text
    assert grant_provider(text) == parse_grant(text).provider


def test_no_comma_is_in_it_because_commas_part_grants() -> None:
    assert "," not in str(GrantWish("github", limits=Limits(paths=("/a,b",))))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a provider name"),
        ("../x", "a provider name"),
        ("github:", "a provider name"),
        ("github:RO", "a provider name"),
        ("github:ro:x", "a provider name"),
        ("github;", "expected limits such as"),
        ("github;methods", "expected limits such as"),
        ("github;method=GET", "expected limits such as"),
        ("github;methods=GET;methods=PUT", "expected limits such as"),
        ("github;methods=get", "a method in capitals"),
        ("github;methods=*", "a method in capitals"),
        ("github;paths=repos", "begins with /"),
        ("github;paths=/a?b=c", "of plain characters"),
        ("github;paths=/a/../b", "without . and .."),
        ("github;paths=//a", "without //"),
        ("github;paths=/a**", "as a whole segment"),
        ("github;paths=/a%2fb", "without encoded"),
        ("github;max_requests=0", "max_requests: expected a whole number"),
        ("github;max_requests=-1", "max_requests: expected a whole number"),
        ("github;expires_in=1w", "expires_in: expected a time"),
        ("github;expires_in=0s", "expires_in: expected a time"),
        ("ssh:github.com;max_requests=1", "an SSH grant has no limits"),
    ],
)
def test_mistakes_say_what_was_expected(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_grant(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("now", "before", "within"),
    [
        ("github:ro", "github", True),
        ("github", "github:ro", False),
        ("github:rw", "github:ro", False),
        ("openai", "github", False),
        ("github;methods=GET", "github", True),
        ("github;methods=GET", "github;methods=GET|PUT", True),
        ("github;methods=GET|PUT", "github;methods=GET", False),
        ("github", "github;methods=GET", False),
        ("github;paths=/a/**", "github;paths=/a/**|/b", True),
        ("github;paths=/a/b", "github;paths=/a/**", False),  # patterns are compared as written
        ("github;max_requests=10", "github;max_requests=20", True),
        ("github;max_requests=20", "github;max_requests=10", False),
        ("github", "github;max_requests=10", False),
        ("github;expires_in=60m", "github;expires_in=1h", True),
        ("github;expires_in=2h", "github;expires_in=90m", False),
        ("github:ro;max_requests=5", "github:ro", True),
    ],
)
def test_which_gives_more(now: str, before: str, within: bool) -> None:
    assert parse_grant(now).within(parse_grant(before)) is within


def agent_yaml(tmp_path: Path, text: str) -> tuple[str, ...]:
    (tmp_path / "agent.yaml").write_text(text)
    return load_agent_config(tmp_path).config.grants


def test_the_general_form_in_agent_yaml(tmp_path: Path) -> None:
    text = """
grants:
  - github:ro
  - {name: openai, methods: [POST], paths: ["/v1/**"], max_requests: 100, expires_in: 1h}
  - ssh:github.com
"""
    assert agent_yaml(tmp_path, text) == (
        "github:ro",
        "openai;methods=POST;paths=/v1/**;max_requests=100;expires_in=1h",
        "ssh:github.com",
    )


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("{methods: [GET]}", "expected a name"),
        ("{name: github, method: [GET]}", "unknown key 'method'"),
        ("{name: github, methods: []}", "a list of methods"),
        ("{name: github, methods: GET}", "a list of methods"),
        ("{name: github, max_requests: 0}", "from 1 to"),
        ("{name: github, expires_in: 60}", "a time such as 1h"),
        ("{name: github, paths: [/a/../b]}", "without . and .."),
        ("{name: ssh:h, max_requests: 1}", "an SSH grant has no limits"),
        ('{name: "github;methods=GET"}', "keys of their own"),
        ("github:ro\n  - github", "each grant once"),
    ],
)
def test_mistakes_in_agent_yaml_name_their_line(tmp_path: Path, item: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        agent_yaml(tmp_path, f"name: a\ngrants:\n  - {item}\n")
    assert words in str(caught.value)
    assert caught.value.line in (3, 4)
