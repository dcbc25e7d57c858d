"""A person's own providers: as strict as the built-in ones, never in their place, each file for itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import ConfigError, UnknownProvider
from engine.grants import builtin_providers, load_providers, npm
from engine.home import Home

GOOD = """\
mycorp:
  title: My Corp
  hosts:
    - {pattern: api.mycorp.test, header: X-Key, format: "{token}", ports: [443, 8443]}
  env: {MYCORP_KEY: moat-proxy-injected}
  sources: [{env: MYCORP_KEY}, {command: [mycorp, token]}]
  validation: {url: "https://api.mycorp.test:8443/me", account: login}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def write(home: Home, text: str, name: str = "mycorp.yaml") -> Path:
    home.write(home.providers / name, text.encode())
    return home.providers / name


def test_without_any_there_is_the_built_in_table(home: Home) -> None:
    known = load_providers(home)
    assert (known.rows, known.bad) == ({**builtin_providers(), "npm": npm.NPM}, ())


def test_one_of_ones_own_stands_beside_the_built_in_ones(home: Home) -> None:
    file = write(home, GOOD)
    found = load_providers(home)
    row = found.get("mycorp")
    assert (row.origin, row.hosts[0].ports, row.source_names()) == (
        str(file), (443, 8443), ("MYCORP_KEY", "mycorp token"),
    )  # fmt: skip
    assert found.get("github") is builtin_providers()["github"]


HOST = "pattern: api.mycorp.test"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("mycorp:\n", "github:\n", 1, "that name is built in"),
        ("mycorp:\n", "ssh:\n", 1, "that name is built in"),
        ("mycorp:\n", "../x:\n", 1, "lower-case letters"),
        ("  title: My Corp\n", "", 1, "missing required field `title`"),
        ("title: My Corp", "title: [x]", 2, "Expected `str`"),
        ("  env:", "  evn:", 1, "unknown field `evn`"),
        (HOST, "pattern: 10.0.0.1", 4, "expected a host name"),
        (HOST, "pattern: api.github.com", 4, "belongs to the built-in provider github"),
        (HOST, 'pattern: "*.github.com"', 4, "belongs to the built-in provider github"),
        (HOST, "pattern: eu.api.openai.com", 4, "belongs to the built-in provider openai"),
        (HOST, 'pattern: "*.eu.openai.com"', 4, "belongs to the built-in provider openai"),
        (HOST, 'pattern: "*.test"', 4, "wider than one owner"),
        (HOST, "pattern: localhost, via: x", 4, "unknown field `via`"),
        ("X-Key", "Host", 4, "cannot carry a credential"),
        ("[443, 8443]", "[443, x]", 4, "Expected `int`"),
        ("MYCORP_KEY: moat-proxy-injected", "HTTPS_PROXY: moat-proxy-injected", 5, "reserved"),
        ("MYCORP_KEY: moat-proxy-injected", "MYCORP_KEY: dummy", 5, "that contains moat-proxy-injected"),
        ("[{env: MYCORP_KEY}", "[{}", 6, "either env or command"),
        ("api.mycorp.test:8443/me", "evil.test/me", 7, "a host and port of the grant"),
        ("api.mycorp.test:8443/me", "api.mycorp.test:x/me", 7, "a host and port of the grant"),
        ("  title", "  origin: /etc/x\n  title", 1, "as the key only"),
        ("  title", "  shares: [mycorp]\n  title", 2, "names of built-in providers"),
        ("  title", "  limits: {methods: [get]}\n  title", 2, "a method in capitals"),
        ("  title", "  limits: {max_requests: no}\n  title", 2, "Expected `int`"),
        ("  title", "  scopes: {ro: {allow: []}}\n  title", 2, "what it allows"),
        ("  title", "  scopes: {ro: {allow: [{host: x, methods: [GET]}]}}\n  title", 2, "one of the hosts"),
        ("  title", "\ttitle", 2, "not valid YAML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_disables_its_file_only(
    home: Home, old: str, new: str, line: int, words: str
) -> None:
    assert old in GOOD
    text = GOOD if old != HOST else GOOD.partition("  validation")[0]
    file = write(home, text.replace(old, new))
    write(home, GOOD.replace("mycorp", "other"), "other.yaml")
    found = load_providers(home)
    (error,) = found.bad
    assert (error.file, error.line) == (file, line), str(error)
    assert words in str(error)
    assert set(found.rows) == {*builtin_providers(), "npm", "other"}
    with pytest.raises(ConfigError if error.key == "mycorp" else UnknownProvider) as caught:
        found.get("mycorp")
    if "YAML" in words:
        assert str(file) in str(caught.value)


def test_a_built_in_providers_hosts_are_shared_on_purpose_only(home: Home) -> None:
    shared = GOOD.replace(HOST, "pattern: api.github.com").replace("api.mycorp.test:8443", "api.github.com")
    write(home, shared.replace("  title", "  shares: [openai]\n  title"))
    assert load_providers(home).bad
    write(home, shared.replace("  title", "  shares: [github]\n  title"))
    assert load_providers(home).get("mycorp").hosts[0].pattern == "api.github.com"


def test_one_name_is_defined_once(home: Home) -> None:
    first, second = write(home, GOOD, "a.yaml"), write(home, GOOD, "b.yaml")
    found = load_providers(home)
    assert [error.file for error in found.bad] == [second]
    assert found.get("mycorp").origin == str(first)


def test_only_the_person_may_have_written_it(home: Home, tmp_path: Path) -> None:
    file = write(home, GOOD)
    os.chmod(file, 0o620)
    assert "others can write it" in str(load_providers(home).bad[0])
    os.chmod(file, 0o644)
    assert not load_providers(home).bad
    os.chmod(home.providers, 0o777)
    assert "others can write it" in str(load_providers(home).bad[0])
    assert "mycorp" not in load_providers(home).rows
    os.chmod(home.providers, 0o700)
    file.rename(tmp_path / "elsewhere.yaml")
    file.symlink_to(tmp_path / "elsewhere.yaml")
    assert "symbolic link" in str(load_providers(home).bad[0])
    file.unlink()
    home.providers.rmdir()
    (tmp_path / "dir").mkdir()
    home.providers.symlink_to(tmp_path / "dir")
    assert "symbolic link" in str(load_providers(home).bad[0])


@pytest.mark.parametrize("text", ["[]", "mycorp: 1", "mycorp: [", "a: 1\n---\nb: 2"])
def test_what_is_no_table(home: Home, text: str) -> None:
    file = write(home, text)
    (error,) = load_providers(home).bad
    assert (error.file, error.line > 0) == (file, True)


def test_files_of_other_kinds_are_not_looked_at(home: Home) -> None:
    write(home, "[", "README.md")
    write(home, "[", ".mycorp.yaml.swp")
    write(home, "", "empty.yaml")
    assert not load_providers(home).bad
