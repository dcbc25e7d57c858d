"""Where an npm token may go is what the person's own .npmrc says, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import GrantError
from engine.grants import find_token, load_providers, npm
from engine.home import Home

RC = """\
; mine
registry = https://npm.corp.test/api/npm/all/
@me:registry=https://registry.npmjs.org
//registry.npmjs.org/:_authToken=${MY_TOKEN}
//npm.corp.test:8443/api/npm/all/:_authToken = "npm_corp"
//empty.test/:_authToken=${UNSET}
always-auth=true
"""


def env(tmp_path: Path, text: str = "", **more: str) -> dict[str, str]:
    if text:
        (tmp_path / ".npmrc").write_text(text)
    return {"HOME": str(tmp_path), "PATH": str(tmp_path), **more}


def found(environ: dict[str, str]) -> list[tuple[str, int, str, str, bool]]:
    stored = npm.find(environ)
    assert stored is not None
    return [(r.host, r.port, r.path, r.token, r.default) for r in npm.decode(stored[0])]


def test_each_registry_of_ones_own_npmrc_gets_its_own_token(tmp_path: Path) -> None:
    text = RC.replace("https://npm.corp.test/", "https://npm.corp.test:8443/")
    environ = env(tmp_path, text, MY_TOKEN="npm_mine")
    assert found(environ) == [
        ("registry.npmjs.org", 443, "/", "npm_mine", False),
        ("npm.corp.test", 8443, "/api/npm/all/", "npm_corp", True),
    ]
    token = find_token(load_providers(Home(tmp_path / "h")).get("npm"), environ)
    assert token is not None
    assert token.source == "~/.npmrc"
    registries = npm.decode(token.value)
    assert npm.config_file(registries, "/ca.crt").decode().splitlines() == [
        "cafile=/ca.crt",
        "@me:registry=https://registry.npmjs.org/",
        "//registry.npmjs.org/:_authToken=npm_moatProxyInjected00000000",
        "registry=https://npm.corp.test:8443/api/npm/all/",
        "//npm.corp.test:8443/api/npm/all/:_authToken=npm_moatProxyInjected00000000",
    ]
    assert "npm_mine" not in repr(registries)


def test_a_workspaces_npmrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / ".npmrc").write_text("registry=https://evil.test/\n//evil.test/:_authToken=x\n")
    monkeypatch.chdir(tmp_path / "ws")
    environ = env(tmp_path, NPM_TOKEN="npm_mine")
    assert found(environ) == [("registry.npmjs.org", 443, "/", "npm_mine", True)]
    assert npm.find(env(tmp_path)) is None


def test_one_token_goes_to_the_registry_that_npm_uses(tmp_path: Path) -> None:
    tool = tmp_path / "npm"
    tool.write_text('#!/bin/sh\n[ "$PWD" = / ] && echo https://npm.corp.test/x\n')
    tool.chmod(0o755)
    environ = env(tmp_path)
    environ["PATH"] += ":/bin"
    assert [r.place for r in npm.decode(npm.stored_form("npm_t", environ))] == ["//npm.corp.test/x/"]
    environ = env(tmp_path, "registry=https://mine.test\n")
    assert [r.place for r in npm.decode(npm.stored_form("npm_t", environ))] == ["//mine.test/"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("//127.0.0.1:4873/:_authToken=x", "expected a host name"),
        ("//*.evil.test/:_authToken=x", "a registry that a token can go to"),
        ("//me@evil.test/:_authToken=x", "a registry that a token can go to"),
        ("//a.test/one/:_authToken=x\n//a.test/two/:_authToken=y", "two tokens are there for the one host"),
        ("//a.test/:_authToken=x y", "holds a space"),
        ("//a.test/:_authToken=npm_moatProxyInjected00000000", "placeholder"),
    ],
)
def test_what_a_token_cannot_go_to_is_refused_unquoted(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(GrantError) as caught:
        found(env(tmp_path, text))
    assert words in str(caught.value)


def test_plain_http_is_no_place_for_a_token(tmp_path: Path) -> None:
    environ = env(tmp_path, "registry=http://localhost:4873/\n")
    with pytest.raises(GrantError, match="over https only"):
        npm.stored_form("npm_t", environ)


@pytest.mark.parametrize("stored", ["", "[]", "npm_t", '[{"host":"evil.test/x","token":"t"}]', "[1]"])
def test_a_stored_value_is_checked_again_when_it_is_used(stored: str) -> None:
    with pytest.raises(GrantError):
        npm.decode(stored)
