"""The provider table is what formats.md says, and a row that could send a credential astray is refused."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest

from engine.errors import ConfigError, GrantError, UnknownProvider
from engine.grants import HostRule, Provider, Providers, builtin_providers, load_table, render_header

provider = Providers(builtin_providers()).get

# grant | hosts | header and how T is sent | host-side sources (formats.md, "HTTP grants")
GRANTS = """
github       | api.github.com github.com | Authorization: Bearer T | GITHUB_TOKEN, GH_TOKEN, gh auth token
anthropic    | api.anthropic.com | x-api-key: T | ANTHROPIC_API_KEY
claude       | api.anthropic.com | Authorization: Bearer T | CLAUDE_CODE_OAUTH_TOKEN, FILE
openai       | api.openai.com chatgpt.com *.openai.com | Authorization: Bearer T | OPENAI_API_KEY
gemini       | generativelanguage.googleapis.com | x-goog-api-key: T | GEMINI_API_KEY
gitlab       | gitlab.com *.gitlab.com | PRIVATE-TOKEN: T | GITLAB_TOKEN, GL_TOKEN
graphite     | api.graphite.com *.graphite.com | Authorization: token T | GRAPHITE_TOKEN, GT_TOKEN
meta         | graph.facebook.com graph.instagram.com | Authorization: Bearer T | META_ACCESS_TOKEN
brave-search | api.search.brave.com | X-Subscription-Token: T | BRAVE_API_KEY, BRAVE_SEARCH_API_KEY
elevenlabs   | api.elevenlabs.io | xi-api-key: T | ELEVENLABS_API_KEY
linear       | api.linear.app | Authorization: T | LINEAR_API_KEY
vercel       | api.vercel.com *.vercel.com | Authorization: Bearer T | VERCEL_TOKEN
sentry       | sentry.io *.sentry.io | Authorization: Bearer T | SENTRY_AUTH_TOKEN
datadog      | *.datadoghq.com | DD-API-KEY: T | DD_API_KEY, DATADOG_API_KEY
"""
PLACEHOLDERS = {
    "GH_TOKEN": "ghp_moatProxyInjectedPlaceholder000000000000",
    "OPENAI_API_KEY": "sk-moat-proxy-injected-placeholder-0000000000000000000000000000000000000000",
    "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-moat-proxy-injected-placeholder-not-a-real-token",
} | dict.fromkeys(
    (
        "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GITLAB_TOKEN", "GRAPHITE_TOKEN", "META_ACCESS_TOKEN",
        "BRAVE_API_KEY", "ELEVENLABS_API_KEY", "LINEAR_API_KEY", "VERCEL_TOKEN", "SENTRY_AUTH_TOKEN",
        "DD_API_KEY",
    ),
    "moat-proxy-injected",
)  # fmt: skip


def test_the_table_is_the_one_of_the_formats() -> None:
    expected = [[cell.strip() for cell in line.split("|")] for line in GRANTS.strip().splitlines()]
    found = [
        [
            name,
            " ".join(rule.pattern for rule in row.hosts),
            f"{row.hosts[0].header}: {render_header(row.hosts[0], 'T')}",
            ", ".join(row.source_names()).replace("~/.claude/.credentials.json", "FILE"),
        ]
        for name, row in builtin_providers().items()
    ]
    assert found == expected
    assert all(row.name == name and row.title for name, row in builtin_providers().items())
    assert all(rule.ports == (443,) for row in builtin_providers().values() for rule in row.hosts)


def test_placeholders_are_exact() -> None:
    rows = builtin_providers().values()
    assert {name: text for row in rows for name, text in row.env.items()} == PLACEHOLDERS
    assert all(len(row.env) == 1 for row in rows)


def test_git_over_https_gets_basic_authentication() -> None:
    api, git = provider("github").hosts
    assert (api.header, render_header(api, "T")) == ("Authorization", "Bearer T")
    expected = "Basic " + base64.b64encode(b"x-access-token:T").decode()
    assert (git.header, render_header(git, "T")) == ("Authorization", expected)


def test_reading_the_table_is_quick() -> None:
    load_table(_builtin_file())
    started = time.process_time()
    load_table(_builtin_file())
    assert time.process_time() - started < 0.05, "2 ms where it was written; 10 ms is the budget"


@pytest.mark.parametrize("name", ["ssh", "ssh:github.com"])
def test_grants_to_come_are_not_called_unknown(name: str) -> None:
    with pytest.raises(GrantError, match="not supported yet") as caught:
        provider(name)
    assert not isinstance(caught.value, UnknownProvider)


@pytest.mark.parametrize(
    ("name", "near"), [("githb", "github"), ("GitHub", "github"), ("antropic", "anthropic")]
)
def test_unknown_grants_name_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownProvider, match=f"Did you mean '{near}'"):
        provider(name)


@pytest.mark.parametrize("name", ["../x", "", "zzzzzz", "a\x1b[31m", "github:ro"])
def test_unknown_grants_name_the_known(name: str) -> None:
    with pytest.raises(UnknownProvider, match="anthropic, brave-search") as caught:
        provider(name)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("token", ["a b", "a\r\nX: y", "a\0", "é", "", "x" * 20_000])
def test_a_token_that_would_break_the_header_is_never_rendered(token: str) -> None:
    with pytest.raises(GrantError):
        render_header(HostRule("a.test", "Authorization", "Bearer {token}"), token)


def test_a_token_with_braces_is_only_data() -> None:
    assert render_header(HostRule("a.test", "X", "a {token} b"), "{basic:x}{token}") == "a {basic:x}{token} b"


ROW = """
thing:
  title: Thing
  hosts: [{pattern: api.thing.test, header: X-Key, format: "{token}"}]
"""


def test_a_row_of_ones_own(tmp_path: Path) -> None:
    table = load(tmp_path, ROW)
    assert table["thing"] == Provider(
        name="thing", title="Thing", hosts=(HostRule("api.thing.test", "X-Key", "{token}"),)
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("thing:", "../thing:", "lower-case letters"),
        ("title: Thing", "title: Thing\n  name: other", "as the key only"),
        ("title: Thing", "titel: Thing", "titel"),
        ("title: Thing", "title: [x]", "Expected `str`"),
        ("api.thing.test", "127.0.0.1", "expected a host name"),
        ("api.thing.test", "API.thing.test", "lower-case"),
        ("api.thing.test", "'api.thing.test:1'", "without a port"),
        ("api.thing.test", "'*'", "expected a host name"),
        ("X-Key", "Connection", "cannot carry a credential"),
        ("X-Key", "Proxy-Authorization", "cannot carry a credential"),
        ("X-Key", "Host", "cannot carry a credential"),
        ("X-Key", '"X\\r\\nY"', "cannot carry a credential"),
        ("{token}", "Bearer", "one {token}"),
        ("{token}", "{token}{token}", "one {token}"),
        ("{token}", "{basic:}", "one {token}"),
        ("{token}", "{basic:a:b}", "one {token}"),
        ("{token}", "{secret}", "one {token}"),
        ("{token}", "{token}\\r\\nX: y", "one {token}"),
        ("format:", "ports: [0], format:", "expected ports"),
        ("title: Thing", "title: Thing\n  env: {1A: x}", "env"),
        ("title: Thing", "title: Thing\n  env: {A: 'x y'}", "env"),
        ("title: Thing", "title: Thing\n  env: {A: dummy}", "that contains moat-proxy-injected"),
        ("title: Thing", "title: Thing\n  env: {NO_PROXY: moat-proxy-injected}", "reserved"),
        ("title: Thing", "title: Thing\n  sources: [{}]", "either env or command"),
        ("title: Thing", "title: Thing\n  sources: [{env: A, command: [b]}]", "either env or command"),
        (
            "title: Thing",
            "title: Thing\n  validation: {url: 'https://evil.test/'}",
            "a host and port of the grant",
        ),
        ("title: Thing", "title: Thing\n  validation: {url: 'http://api.thing.test/'}", "over https"),
        (
            "title: Thing",
            "title: Thing\n  validation: {url: 'https://api.thing.test:8443/'}",
            "a host and port",
        ),
        ("title: Thing", "title: Thing\n  validation: {url: 'https://api.thing.test@evil.test/'}", "a host"),
    ],
)
def test_rows_that_could_send_a_credential_astray(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, ROW.replace(old, new))
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("text", ["[", "[]", "thing: 1", "\xff"])
def test_a_table_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="not a provider table"):
        load(tmp_path, text)


def load(tmp_path: Path, text: str) -> dict[str, Provider]:
    file = tmp_path / "providers.yaml"
    file.write_bytes(text.encode("latin-1"))
    return load_table(file)


def _builtin_file() -> Path:
    import engine.grants.table

    return Path(engine.grants.table.__file__).with_name("providers.yaml")
