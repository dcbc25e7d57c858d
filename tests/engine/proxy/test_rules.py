"""network.rules over requests: order, hosts, ports, policies, and that all readings must agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.rules import HostRules, parse_rule, parse_rule_host
from engine.proxy.decision import Decision, RequestHead
from engine.proxy.destination import Destination
from engine.proxy.policy import Policy, decide, decide_tunnel
from engine.proxy.spec import HostRule, Injection, ProxySpec

github = Injection("github", (HostRule("api.github.test", "Authorization"),), ("Bearer S",))


def entry(host: str, *rules: str) -> HostRules:
    return HostRules(parse_rule_host(host), tuple(map(parse_rule, rules)))


def ruled(
    *rules: HostRules, own: tuple[HostRules, ...] = (), mode: str = "strict", allow: tuple[str, ...] = ()
) -> Policy:
    return Policy.of(
        ProxySpec("run_1", "t" * 32, "10.0.0.0/8", mode, allow, (github,), rules=rules, own_rules=own)
    )


def ask(
    policy: Policy,
    path: str = "/",
    host: str = "a.test",
    method: str = "GET",
    port: int = 443,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Decision:
    authority = host if port == 443 else f"{host}:{port}"
    destination = Destination(host, port, host[0].isdigit())
    sni = None if destination.ip else host
    return decide(RequestHead(method, path, headers, (authority,), None, destination, True, sni), policy)


def test_the_first_rule_that_matches_decides() -> None:
    policy = ruled(entry("a.test", "deny GET /a/secret/**", "allow GET,HEAD /a/**"), entry("a.test", "deny"))
    assert ask(policy, "/a/x").allowed
    assert ask(policy, "/a/x").rule == "allow GET,HEAD /a/** for a.test (agent.yaml)"
    assert ask(policy, "/a/x", method="HEAD").allowed
    for path, method in (("/a/secret/x", "GET"), ("/a/x", "POST"), ("/b", "GET"), ("/A/x", "GET")):
        refused = ask(policy, path, method=method)
        assert (refused.allowed, refused.status, refused.rule) == (False, 403, "rule-denied")


@pytest.mark.parametrize("mode", ["strict", "ask", "permissive"])
def test_what_no_rule_speaks_of_is_the_policys(mode: str) -> None:
    policy = ruled(entry("a.test", "allow GET /a"), mode=mode, allow=("b.test",))
    assert ask(policy, "/a").allowed
    assert ask(policy, "/x", host="b.test").allowed
    for other in (ask(policy, "/b"), ask(policy, host="c.test"), ask(policy, "/a", port=8443)):
        assert other.allowed == (mode == "permissive")
        assert other.ask == (mode == "ask")


def test_a_granted_host_and_an_allowed_one_are_open_unless_a_rule_denies() -> None:
    policy = ruled(entry("*.github.test", "deny DELETE"), entry("b.test", "deny * /x"), allow=("b.test",))
    granted = ask(policy, "/a", host="api.github.test")
    assert granted.grant is not None
    assert ask(policy, "/a", host="api.github.test", method="DELETE").rule == "rule-denied"
    assert ask(policy, "/y", host="b.test").allowed
    assert ask(policy, "/x/", host="b.test").rule == "rule-denied"


def test_nothing_in_a_workspace_overrides_the_persons_own() -> None:
    policy = ruled(
        entry("evil.test"), own=(entry("evil.test", "deny"), entry("a.test")), allow=("evil.test",)
    )
    refused = ask(policy, host="evil.test")
    assert refused.rule == "rule-denied"
    assert "(config.yaml)" in refused.message
    assert ask(policy, "/any/..%2fthing").allowed  # no rule looks at the path of what is open anyway


def test_ports_allow_means_the_usual_ones_and_deny_every_one() -> None:
    policy = ruled(entry("a.test"), entry("b.test:8443"), entry("c.test", "deny"), mode="permissive")
    strict = ruled(entry("a.test"), entry("b.test:8443"))
    assert ask(strict).allowed
    assert not ask(strict, port=8443).allowed
    assert ask(strict, host="b.test", port=8443).allowed
    assert not ask(strict, host="b.test").allowed
    assert not ask(policy, host="c.test", port=9999).allowed


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.a.test", ["x.a.test", "x.y.a.test"], ["a.test", "xa.test", "x.a.test.evil.test"]),
        ("api.*.a.test", ["api.x.a.test"], ["api.a.test", "api.x.y.a.test", "evil.api.x.a.test"]),
        ("xn--gthub-cta.test", ["xn--gthub-cta.test"], ["github.test"]),
    ],
)
def test_threat_7_hosts_match_by_whole_labels(pattern: str, yes: list[str], no: list[str]) -> None:
    policy = ruled(entry(pattern))
    assert all(ask(policy, host=host).allowed for host in yes)
    assert not any(ask(policy, host=host).allowed for host in no)


@pytest.mark.parametrize(
    "path",
    [
        "/open/..%2fadmin", "/open/../admin", "//admin", "/open/%2e%2e/admin", "/open/..;/admin",
        "/open%5c..", "/%61dmin", "/open/%252e%252e/admin", "/open/%c0%ae%c0%ae/admin", "/admin%00",
        "/open/..%00/admin",
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["strict", "permissive"])
def test_threat_29_an_ambiguous_path_is_refused(path: str, mode: str) -> None:
    for rules in (("deny * /admin/**", "allow * /**"), ("allow * /open/**",)):
        refused = ask(ruled(entry("a.test", *rules), mode=mode), path)
        assert (refused.allowed, refused.status, refused.rule) == (False, 400, "ambiguous")
        assert path not in refused.message


def test_threat_29_two_readings_are_fine_while_the_rules_agree_on_them() -> None:
    policy = ruled(entry("a.test", "deny * /group/secret", "allow GET /@scope/**", "allow GET /group/**"))
    assert ask(ruled(entry("a.test", "allow GET")), "/@scope%2fname").allowed
    assert ask(policy, "/group%2fsecret").rule == "ambiguous"
    assert ask(policy, "/@scope%2fname").rule == "ambiguous"
    assert ask(policy, "/@scope/name;v=1").allowed


def test_a_method_said_twice_or_in_small_letters() -> None:
    policy = ruled(entry("a.test", "deny DELETE", "allow * /**"))
    for name in (b"X-HTTP-Method-Override", b"x-http-method", b"X-Method-Override"):
        assert ask(policy, method="POST", headers=((name, b"delete"),)).rule == "ambiguous"
        assert ask(policy, method="POST", headers=((name, b"PATCH"),)).allowed
    assert ask(policy, method="delete").rule == "ambiguous"


@pytest.mark.parametrize("mode", ["strict", "ask"])
def test_an_address_is_refused_and_never_asked_about(mode: str) -> None:
    policy = ruled(mode=mode)
    for decision in (ask(policy, host="8.8.8.8"), decide_tunnel(Destination("8.8.8.8", 443, True), policy)):
        assert decision.rule == "ip-literal"
        assert not decision.ask
    assert decide_tunnel(Destination("unknown.test", 443), policy).allowed


_rules = st.lists(
    st.sampled_from(["allow", "deny", "allow GET /a", "deny GET /a", "allow POST /a/**", "deny * /a/*"]),
    max_size=4,
)


@given(
    _rules,
    _rules,
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["/", "/a", "/a/b", "/a%2fb", "/a;x"]),
    st.sampled_from(["strict", "ask", "permissive"]),
)
def test_own_rules_first_and_the_open_policy_never_stricter(
    own: list[str], workspace: list[str], method: str, path: str, mode: str
) -> None:
    mine = (entry("a.test", *own),) if own else ()
    theirs = (entry("a.test", *workspace),) if workspace else ()
    both = ask(ruled(*theirs, own=mine, mode=mode), path, method=method)
    alone = ask(ruled(own=mine, mode="permissive"), path, method=method)
    if alone.rule == "rule-denied":
        assert not both.allowed
    if both.allowed:
        assert ask(ruled(*theirs, own=mine, mode="permissive"), path, method=method).allowed
