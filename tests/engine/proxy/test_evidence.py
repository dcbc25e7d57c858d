"""Policies from request logs: what is proposed lets through what was seen, and little else."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.config.rules import HostRules, parse_rule
from engine.events import RequestRecord
from engine.proxy import HostRule, Injection, Policy, ProxySpec
from engine.proxy.replay import Change, changes
from engine.proxy.suggest import pattern, suggest

GITHUB = Injection("github", (HostRule("api.github.com", "Authorization"),), ("-",))


def record(url: str, method: str = "GET", **more: str) -> RequestRecord:
    return RequestRecord(id="r", ts="t", method=method, url=url, **more)


def policy(mode: str = "strict", **more: object) -> Policy:
    return Policy.of(
        ProxySpec(run_id="r", token="-" * 32, subnet="", mode=mode, injections=(GITHUB,), **more)
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/user", "/user"),
        ("/repos/octo/hello/issues/17/comments/", "/repos/octo/hello/issues/*/comments"),
        ("/o/0123abcd/x", "/o/*/x"),
        ("/o/deadbeef/face", "/o/deadbeef/face"),
        ("/i/6ba7b810-9dad-11d1-80b4-00c04fd430c8", "/i/*"),
        ("/t/eyJhbGciOiJIUzI1NiJ9abc", "/t/*"),
        ("/v1/files/a%20b", "/v1/files/*"),
        ("/simple/requests-2.31.0.tar.gz", "/simple/requests-2.31.0.tar.gz"),
        ("/a//b", "/**"),
        ("/a/../b", "/**"),
        ("/a%2Fb/c", "/**"),
        ("*", "/"),
        ("/" + "x/" * 40, "/**"),
    ],
)
def test_paths_are_generalised_modestly(path: str, expected: str) -> None:
    assert pattern(path) == expected


def test_what_a_run_needed() -> None:
    suggestion = suggest(
        [
            record("https://api.github.com/repos/o/r/issues/1", grant="github"),
            record("https://api.github.com/repos/o/r/issues/2?page=3", "POST", grant="github"),
            record("https://packages.test/simple/x/"),
            *(record(f"https://packages.test/p{n}/{n}") for n in range(12)),
            record("http://mirror.test:8080/a"),
            record("https://nowhere.test/", decision="denied"),
            record("pinned.test:443", "CONNECT", rule="passthrough"),
            record("10.0.0.1:443", "CONNECT", rule="passthrough"),
            record("https://192.168.0.1/"),
            record("other.test:443", "CONNECT"),
        ]
    )
    assert yaml.safe_load(yaml.safe_dump(suggestion.network())) == {
        "policy": "strict",
        "rules": [
            {"api.github.com": ["allow GET,POST /repos/o/r/issues/*", "deny * /**"]},
            {"mirror.test:8080": ["allow GET /a"]},
            {"packages.test": ["allow GET /**"]},
            "pinned.test",
        ],
        "passthrough": ["pinned.test"],
    }
    assert suggestion.left_out == ("10.0.0.1", "192.168.0.1")


PATHS = st.lists(st.text("ab01.-_%2fF;é", min_size=1, max_size=6), max_size=5).map(
    lambda parts: "/" + "/".join(parts)
)
URLS = st.builds(
    lambda host, path: f"https://{host}{path}",
    st.sampled_from(["a.test", "b.test:8443", "api.github.com"]),
    PATHS,
)


@given(
    st.lists(
        st.builds(record, URLS, st.sampled_from(["GET", "POST"]), grant=st.sampled_from(["", "github"])),
        max_size=20,
    )
)
def test_what_was_seen_is_never_denied_by_what_is_proposed(records: list[RequestRecord]) -> None:
    proposed = policy(rules=suggest(records).rules)
    # what no rule can judge for certain (odd escapes) is refused as ambiguous, whatever the rules
    assert {change.rule for change in changes(records, proposed)} <= {"ambiguous", "malformed"}


def test_what_would_change() -> None:
    records = [
        record("https://a.test/x?secret=1"),
        record("https://a.test/x"),
        record("https://api.github.com/user", grant="github"),
        record("https://b.test/new", decision="denied", rule="not-allowed"),
        record("https://b.test/", decision="denied", rule="private-address"),
        record("https://b.test/", decision="denied", rule="host-mismatch"),
        record("-", "-", decision="denied", rule="malformed"),
    ]
    rules = (HostRules("api.github.com", (parse_rule("deny GET /user"),)), HostRules("b.test"))
    assert changes(records, policy(rules=rules)) == (
        Change("allowed", "denied", "GET", "https://a.test/x", "not-allowed", 2),
        Change("allowed", "denied", "GET", "https://api.github.com/user", "rule-denied", 1),
        Change("denied", "allowed", "GET", "https://b.test/new", "b.test (agent.yaml)", 1),
    )
    assert {change.after for change in changes(records, policy("ask"))} == {"asked"}
    assert changes(records[:3], policy("permissive")) == ()
