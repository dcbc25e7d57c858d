"""network.rules: what can be written, and what is said about what cannot."""

from __future__ import annotations

import pytest

from engine.config import load_agent_config
from engine.config.rules import parse_rule, parse_rule_host
from engine.errors import ConfigError, UsageError


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("allow GET /repos/**", "allow GET /repos/**"),
        ("deny", "deny * /**"),
        ("deny DELETE", "deny DELETE /**"),
        ("allow  GET,HEAD   /a/*.json", "allow GET,HEAD /a/*.json"),
        ("deny * /a%20b/", "deny * /a%20b/"),
    ],
)
def test_a_rule(text, means):
    assert str(parse_rule(text)) == means


@pytest.mark.parametrize(
    "text",
    [
        "", "GET /x", "permit GET /x", "allow get /x", "allow GET x", "allow GET /a//b", "allow GET /a/../b",
        "allow GET /a?b=c", "allow GET /a;b", "allow GET /a\\b", "allow GET /%2e%2e/b", "allow GET /a%2Fb",
        "allow GET /a**", "allow GET /é", "allow GET /a%", "allow GET /a b", "allow GET,* /a",
        "allow GET " + "/a" * 40,
    ],
)  # fmt: skip
def test_a_rule_that_could_never_hold_or_means_two_things_is_refused(text):
    with pytest.raises(UsageError):
        parse_rule(text)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("API.Example.com.", "api.example.com"),
        ("*.example.com:8443", "*.example.com:8443"),
        ("api.*.example.com", "api.*.example.com"),
        ("*.a.*.example.com", "*.a.*.example.com"),
    ],
)
def test_a_host(text, means):
    assert parse_rule_host(text) == means


@pytest.mark.parametrize(
    "text", ["*", "a.*", "a*.test", "10.0.0.1", "*.10", "http://a", "gïthub.test", "a:0"]
)
def test_what_is_no_host(text):
    with pytest.raises(UsageError):
        parse_rule_host(text)


def test_the_file_in_order(tmp_path):
    (tmp_path / "agent.yaml").write_text(
        "network:\n  policy: ask\n  rules:\n    - pypi.org\n    - api.test:8443:\n"
        "        - allow GET /a/**\n        - deny\n      b.test: [deny POST]\n"
    )
    network = load_agent_config(tmp_path).config.network
    assert network.policy == "ask"
    assert list(map(str, network.rules)) == [
        "pypi.org",
        "api.test:8443: allow GET /a/**; deny * /**",
        "b.test: deny POST /**",
    ]


@pytest.mark.parametrize(
    ("rules", "key"),
    [
        ("[allow GET /x]", "network.rules[0]"),
        ("[{a.test: []}]", "network.rules[0].a.test"),
        ("[{a.test: allow}]", "network.rules[0].a.test"),
        ("[{a.test: [allow GET x]}]", "network.rules[0].a.test[0]"),
        ("[{10.0.0.1: [deny]}]", "network.rules[0].10.0.0.1"),
        ("a.test", "network.rules"),
    ],
)
def test_an_error_names_its_place(tmp_path, rules, key):
    (tmp_path / "agent.yaml").write_text(f"network: {{rules: {rules}}}")
    with pytest.raises(ConfigError) as caught:
        load_agent_config(tmp_path)
    assert caught.value.key == key
