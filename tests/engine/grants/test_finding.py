"""Tokens on the host: the order of sources, their form, and that none is ever shown."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import GrantError
from engine.grants import FoundToken, Providers, builtin_providers, check_token, find_token

provider = Providers(builtin_providers()).get

CANARY = "canary-c0de-secret-value"


def gh(tmp_path: Path, script: str) -> dict[str, str]:
    """An environment whose only program is a `gh` of ours."""
    program = tmp_path / "gh"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    return {"PATH": str(tmp_path)}


def test_the_first_source_wins_and_is_named() -> None:
    both = {"GITHUB_TOKEN": " first\n", "GH_TOKEN": "second", "PATH": ""}
    assert find_token(provider("github"), both) == FoundToken("first", "GITHUB_TOKEN")
    assert find_token(provider("github"), both | {"GITHUB_TOKEN": " "}) == FoundToken("second", "GH_TOKEN")


def test_the_services_own_tool_comes_last(tmp_path: Path) -> None:
    env = gh(tmp_path, '[ "$1 $2 $#" = "auth token 2" ] && echo from-gh')
    assert find_token(provider("github"), env) == FoundToken("from-gh", "gh auth token")
    assert find_token(provider("github"), env | {"GH_TOKEN": "mine"}) == FoundToken("mine", "GH_TOKEN")


@pytest.mark.parametrize("script", ["echo not-logged-in; exit 1", "exit 0", "echo; echo"])
def test_a_tool_without_an_answer_is_passed_by(tmp_path: Path, script: str) -> None:
    assert find_token(provider("github"), gh(tmp_path, script)) is None


def test_no_source_no_token(tmp_path: Path) -> None:
    assert all(find_token(row, {"PATH": str(tmp_path)}) is None for row in builtin_providers().values())


def test_a_tool_that_hangs_is_given_up(tmp_path: Path) -> None:
    started = time.monotonic()
    env = gh(tmp_path, "exec /bin/sleep 30")
    assert find_token(provider("github"), env, timeout=0.2) is None
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "value",
    [f"{CANARY} x", f"{CANARY}\r\nX: y", f"{CANARY}\0", f"{CANARY}é", f"\ufeff{CANARY}", CANARY * 2000],
)
def test_unusable_values_name_their_source_and_not_themselves(value: str) -> None:
    with pytest.raises(GrantError, match=r"^GITHUB_TOKEN: the credential") as caught:
        find_token(provider("github"), {"GITHUB_TOKEN": value})
    assert CANARY not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None


def test_moats_own_placeholders_are_no_tokens() -> None:
    for row in builtin_providers().values():
        for placeholder in row.env.values():
            with pytest.raises(GrantError, match="the placeholder"):
                check_token(placeholder)


def test_an_empty_token_is_none() -> None:
    with pytest.raises(GrantError, match="empty"):
        check_token(" \n")
    assert check_token(f"\t{CANARY}\r\n") == CANARY


def test_what_was_found_is_not_shown() -> None:
    found = FoundToken(CANARY, "GITHUB_TOKEN")
    assert CANARY not in repr(found) + str(found) + str(found.__rich_repr__())


def test_reading_the_table_brings_no_network_library() -> None:
    code = "import sys, engine.grants as g; g.builtin_providers(); print(sorted({'ssl', 'asyncio', 'subprocess', 'cryptography', 'keyring', 'engine.credentials'} & set(sys.modules)))"  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout.strip() == "[]"


def test_what_claude_code_keeps_is_the_last_to_be_looked_at(tmp_path):
    file = tmp_path / ".claude" / ".credentials.json"
    file.parent.mkdir()
    claude, env = provider("claude"), {"HOME": str(tmp_path), "PATH": ""}
    for text in ("", "[", "[1]", '{"claudeAiOauth": 1}', '{"claudeAiOauth": {"accessToken": 1}}'):
        file.write_text(text)
        assert find_token(claude, env) is None
    kept = '"accessToken": "sk-ant-oat01-x", "refreshToken": "sk-ant-ort01-y"'
    for ends in ("", ', "expiresAt": "soon"', ', "expiresAt": 1e300', ', "expiresAt": true'):
        file.write_text(f'{{"claudeAiOauth": {{{kept}{ends}}}}}')
        found = find_token(claude, env)
        assert found == FoundToken("sk-ant-oat01-x", "~/.claude/.credentials.json", "sk-ant-ort01-y")
        assert "ort01" not in repr(found)
    file.write_text(f'{{"claudeAiOauth": {{{kept}, "expiresAt": 1800000000000}}}}')
    assert find_token(claude, env).expires_at == "2027-01-15T08:00:00Z"
    assert find_token(claude, env, files=False) is None
    env["CLAUDE_CODE_OAUTH_TOKEN"] = "mine"
    assert find_token(claude, env) == FoundToken("mine", "CLAUDE_CODE_OAUTH_TOKEN")
