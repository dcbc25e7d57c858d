"""What may go where, and with whose credential. No sockets."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.proxy.decision import Decision, RequestHead
from engine.proxy.destination import Destination
from engine.proxy.placeholders import placeholders_in
from engine.proxy.policy import Policy, decide
from engine.proxy.spec import HostRule, Injection, ProxySpec

GITHUB = "ghp_moatProxyInjectedPlaceholder000000000000"
CLAUDE = "sk-ant-oat01-moat-proxy-injected-placeholder-not-a-real-token"
OPENAI = "sk-moat-proxy-injected-placeholder-0000000000000000000000000000000000000000"
GENERIC = "moat-proxy-injected"

github = Injection(
    "github",
    (HostRule("api.github.com", "Authorization"), HostRule("github.com", "Authorization")),
    ("Bearer S", "Basic S"),
    (GITHUB,),
)
anthropic = Injection("anthropic", (HostRule("api.anthropic.com", "x-api-key"),), ("S",), (GENERIC,))
claude = Injection("claude", (HostRule("api.anthropic.com", "Authorization"),), ("Bearer S",), (CLAUDE,))
gemini = Injection(
    "gemini", (HostRule("generativelanguage.googleapis.com", "x-goog-api-key"),), ("S",), (GENERIC,)
)
openai = Injection(
    "openai",
    (HostRule("*.openai.com", "Authorization"), HostRule("api.openai.com", "Authorization")),
    ("Bearer W", "Bearer E"),
    (OPENAI,),
)


def policy(*injections: Injection, mode: str = "permissive", allow: tuple[str, ...] = ()) -> Policy:
    return Policy.of(ProxySpec("run_1", "t" * 32, "10.0.0.0/8", mode, allow, injections or (github,)))


def head(host: str = "api.github.com", **changes: Any) -> RequestHead:
    """A request as an honest client makes it through a TLS tunnel to `host`."""
    name, _, port = host.partition(":")
    fields: dict[str, Any] = {
        "method": "GET",
        "path": "/user",
        "headers": (),
        "hosts": (host,),
        "connect": Destination(name, int(port or 443)),
        "tls": True,
        "sni": name,
    }
    return RequestHead(**(fields | changes))


def plain(url_host: str = "api.github.com", **changes: Any) -> RequestHead:
    """A plain http:// request sent to the proxy in absolute form."""
    fields: dict[str, Any] = {
        "connect": None,
        "tls": False,
        "sni": None,
        "target": ("http", url_host),
        "hosts": (url_host,),
    }
    return head(**(fields | changes))


def grant_of(decision: Decision) -> str | None:
    assert decision.allowed, decision
    return decision.grant.grant if decision.grant else None


def assert_denied(decision: Decision, rule: str, status: int = 403) -> None:
    assert (decision.allowed, decision.rule, decision.status) == (False, rule, status)
    assert decision.grant is None
    assert decision.message


def test_an_honest_request_gets_its_grant() -> None:
    decision = decide(head(), policy())
    assert grant_of(decision) == "github"
    assert decision.destination == Destination("api.github.com", 443)


def test_a_host_without_a_grant_passes_in_permissive() -> None:
    assert grant_of(decide(head("example.test"), policy())) is None


def test_threat_01_inner_host_of_a_grant_in_a_tunnel_to_somebody_else() -> None:
    for mode in ("permissive", "strict"):
        decision = decide(
            head("attacker.test", hosts=("api.github.com",)), policy(mode=mode, allow=("attacker.test",))
        )
        assert_denied(decision, "host-mismatch")


def test_threat_02_sni_of_another_host() -> None:
    assert_denied(decide(head(sni="attacker.test"), policy()), "sni-mismatch")
    assert_denied(decide(head("attacker.test", sni="api.github.com"), policy()), "sni-mismatch")


@pytest.mark.parametrize("sni", ["api.github.com.evil.test", "", "127.0.0.1", "a b", "api.github.com\0"])
def test_threat_02_an_sni_that_is_not_the_tunnels_name(sni: str) -> None:
    assert_denied(decide(head(sni=sni), policy()), "sni-mismatch")


def test_threat_02_no_sni() -> None:
    assert_denied(decide(head(sni=None), policy()), "sni-missing")


def test_threat_03_authority_of_http2() -> None:
    assert grant_of(decide(head(hosts=(), authority="api.github.com"), policy())) == "github"
    assert_denied(decide(head(hosts=(), authority="attacker.test"), policy()), "host-mismatch")
    assert_denied(
        decide(head(hosts=("attacker.test",), authority="api.github.com"), policy()), "host-mismatch"
    )


def test_threat_04_absolute_form_and_host_disagree() -> None:
    assert_denied(decide(plain("a.test", hosts=("b.test",)), policy()), "host-mismatch")
    assert_denied(decide(head(target=("https", "b.test")), policy()), "host-mismatch")
    assert_denied(decide(head(target=("http", "api.github.com")), policy()), "host-mismatch")
    assert_denied(decide(head(target=("https", "api.github.com:444")), policy()), "host-mismatch")
    assert grant_of(decide(head(target=("https", "api.github.com")), policy())) == "github"


def test_threat_05_plain_http_never_gets_a_token() -> None:
    assert grant_of(decide(plain(), policy())) is None
    in_tunnel = head("api.github.com:80", tls=False, sni=None)
    assert grant_of(decide(in_tunnel, policy())) is None
    granted_80 = Injection("github", (HostRule("api.github.com", "Authorization", (80, 443)),), ("Bearer S",))
    assert grant_of(decide(plain(), policy(granted_80))) is None
    assert grant_of(decide(in_tunnel, policy(granted_80))) is None


def test_threat_06_another_port() -> None:
    assert grant_of(decide(head("api.github.com:8443"), policy())) is None
    granted = Injection("github", (HostRule("api.github.com", "Authorization", (443, 8443)),), ("Bearer S",))
    assert grant_of(decide(head("api.github.com:8443"), policy(granted))) == "github"


def test_threat_06_a_host_header_that_claims_another_port() -> None:
    assert_denied(
        decide(head("api.github.com:8443", hosts=("api.github.com:443",)), policy()), "host-mismatch"
    )
    assert grant_of(decide(head("api.github.com:8443", hosts=("api.github.com",)), policy())) is None


@pytest.mark.parametrize(
    "host", ["api.github.com.evil.test", "evil-api.github.com", "apigithub.com", "xn--pi-7ja.github.com"]
)
def test_threat_07_look_alikes(host: str) -> None:
    assert grant_of(decide(head(host), policy())) is None


@pytest.mark.parametrize("spelled", ["API.GITHUB.COM", "api.github.com.", "Api.Github.Com.:443"])
def test_threat_07_other_spellings_are_the_same_host(spelled: str) -> None:
    assert grant_of(decide(head(hosts=(spelled,), sni="API.github.com."), policy())) == "github"


@pytest.mark.parametrize(
    "spelled", ["user@api.github.com", "api.github.com@evil.test", "api.github.com evil", "a..b", ""]
)
def test_threat_07_hosts_that_are_none(spelled: str) -> None:
    assert_denied(decide(head(hosts=(spelled,)), policy()), "malformed", 400)


def test_threat_08_ip_literals() -> None:
    literal = head(connect=Destination("140.82.121.6", 443, True), hosts=("140.82.121.6",), sni=None)
    assert grant_of(decide(literal, policy())) is None
    assert_denied(decide(literal, policy(mode="strict")), "ip-literal")
    v6 = head(connect=Destination("2606:50c0::1", 443, True), hosts=("[2606:50c0::1]",), sni=None)
    assert grant_of(decide(v6, policy())) is None
    assert_denied(decide(v6, policy(mode="strict")), "ip-literal")


def test_threat_08_a_tunnel_to_an_ip_that_says_it_is_a_granted_host() -> None:
    sneaky = head(connect=Destination("203.0.113.9", 443, True))
    assert_denied(decide(sneaky, policy()), "sni-mismatch")
    without_sni = head(connect=Destination("203.0.113.9", 443, True), sni=None)
    assert_denied(decide(without_sni, policy()), "host-mismatch")


# -- threat 11: placeholders --


@pytest.mark.parametrize(
    "header",
    [
        (b"Authorization", b"Bearer " + GITHUB.encode()),
        (b"authorization", b"token " + GITHUB.encode()),
        (b"Authorization", b"Basic " + base64.b64encode(f"x-access-token:{GITHUB}".encode())),
        (b"Authorization", b"basic  " + base64.b64encode(f"{GITHUB}:".encode()).rstrip(b"=")),
        (b"X-Anything", GITHUB.encode()),
        (b"Cookie", b"a=b; token=" + GITHUB.encode() + b"; c=d"),
        (b"X-Forwarded-Auth", b'{"t":"%67' + GITHUB[1:].encode() + b'"}'),
        (b"X-Json", "".join(f"\\u{byte:04x}" for byte in GITHUB.encode()).encode()),
        (b"X-Config", base64.b64encode(f'{{"token":"{GITHUB}"}}'.encode())),
        (b"X-Config", base64.urlsafe_b64encode(f"\xff\xfe?{GITHUB}".encode("latin-1")).rstrip(b"=")),
        (b"Cookie", b"s=" + GITHUB.encode().hex().encode()),
    ],
)
def test_threat_11_a_placeholder_sent_elsewhere_is_an_alarm(header: tuple[bytes, bytes]) -> None:
    for request in (head("attacker.test", headers=(header,)), plain("attacker.test", headers=(header,))):
        decision = decide(request, policy())
        assert_denied(decision, "placeholder")
        assert decision.alarm
        assert GITHUB not in decision.message + decision.remedy


@pytest.mark.parametrize(
    "path",
    [
        f"/?access_token={GITHUB}",
        f"/x/{GITHUB}/y",
        f"/?q=1&a=Bearer%20{GITHUB}#f",
        f"/?t=%67{GITHUB[1:]}",
        "/?t=" + base64.urlsafe_b64encode(f"x-access-token:{GITHUB}".encode()).decode(),
        f"/?t={GITHUB.encode().hex()}",
    ],
)
def test_threat_11_a_placeholder_in_a_url_is_an_alarm_too(path: str) -> None:
    for request in (head("attacker.test", path=path), plain("attacker.test", path=path)):
        decision = decide(request, policy())
        assert_denied(decision, "placeholder")
        assert decision.alarm
    assert decide(head("api.github.com", path=path), policy()).allowed


def test_a_url_that_only_talks_of_a_placeholder_is_none() -> None:
    for path in (f"/search?q=what+is+{GENERIC}", f"/?q=what%20is%20{GENERIC}%20for", f"/{GENERIC}-docs"):
        assert decide(head("search.test", path=path), policy(anthropic)).allowed


def test_threat_11_the_alarm_comes_before_the_strict_denial() -> None:
    request = head("attacker.test", headers=((b"Authorization", GITHUB.encode()),))
    assert decide(request, policy(mode="strict")).alarm


def test_threat_11_a_placeholder_at_home_is_none() -> None:
    for host in ("api.github.com", "github.com", "github.com:8443"):
        assert decide(head(host, headers=((b"Authorization", GITHUB.encode()),)), policy()).allowed


def test_threat_11_the_generic_placeholder_belongs_to_every_grant_that_has_it() -> None:
    rules = policy(anthropic, gemini)
    key = ((b"x-key", GENERIC.encode()),)
    assert decide(head("api.anthropic.com", headers=key), rules).allowed
    assert decide(head("generativelanguage.googleapis.com", headers=key), rules).allowed
    assert_denied(decide(head("other.test", headers=key), rules), "placeholder")


def test_threat_11_a_placeholder_inside_a_longer_one_is_not_meant() -> None:
    rules = policy(anthropic, openai)
    request = head("api.openai.com", headers=((b"authorization", b"Bearer " + OPENAI.encode()),))
    assert grant_of(decide(request, rules)) == "openai"
    known = frozenset((GENERIC, OPENAI, CLAUDE))
    assert placeholders_in(f'"{GENERIC}"', known) == {GENERIC}
    assert placeholders_in(OPENAI, known) == {OPENAI}
    assert placeholders_in(f"x{CLAUDE} {CLAUDE}x", known) == set()
    assert placeholders_in(f"{OPENAI} {GENERIC}", known) == {OPENAI, GENERIC}
    assert placeholders_in(GENERIC, frozenset()) == set()


def test_threat_10_a_redirect_is_judged_afresh() -> None:
    followed = head("objects.test", headers=((b"Authorization", b"Bearer " + GITHUB.encode()),))
    assert_denied(decide(followed, policy()), "placeholder")
    assert grant_of(decide(head("objects.test"), policy())) is None


# -- several grants for one host --


@pytest.mark.parametrize("first", [0, 1])
def test_the_grant_whose_placeholder_was_sent_wins(first: int) -> None:
    rules = policy(*((anthropic, claude) if first == 0 else (claude, anthropic)))
    to = "api.anthropic.com"
    assert grant_of(decide(head(to, headers=((b"X-Api-Key", GENERIC.encode()),)), rules)) == "anthropic"
    bearer = ((b"Authorization", b"Bearer " + CLAUDE.encode()),)
    assert grant_of(decide(head(to, headers=bearer), rules)) == "claude"
    crossed = ((b"X-Api-Key", CLAUDE.encode()),)
    assert grant_of(decide(head(to, headers=crossed), rules)) == "claude"


def test_then_the_grant_whose_header_was_used_then_the_first_named() -> None:
    to = "api.anthropic.com"
    foreign = ((b"Authorization", b"Bearer own"),)
    assert grant_of(decide(head(to, headers=foreign), policy(anthropic, claude))) == "claude"
    assert grant_of(decide(head(to), policy(anthropic, claude))) == "anthropic"
    assert grant_of(decide(head(to), policy(claude, anthropic))) == "claude"


def test_an_exact_rule_goes_before_a_wildcard() -> None:
    decision = decide(head("api.openai.com"), policy(openai))
    assert decision.grant is not None
    assert decision.grant.index == 1


# -- strict --


def test_strict_allows_what_is_named_and_what_is_granted() -> None:
    rules = policy(mode="strict", allow=("Example.test", "*.pypi.test", "odd.test:8080"))
    assert grant_of(decide(head(), rules)) == "github"
    assert decide(head("example.test"), rules).allowed
    assert decide(plain("example.test"), rules).allowed
    assert decide(head("files.pypi.test"), rules).allowed
    assert decide(head("odd.test:8080"), rules).allowed
    for request in (
        head("odd.test"),
        head("example.test:8443"),
        head("pypi.test"),
        head("other.test"),
        head("api.github.com:8443"),
        plain("api.github.com"),
    ):
        decision = decide(request, rules)
        assert_denied(decision, "not-allowed")
        assert "--allow-host" in decision.remedy
        assert decision.destination is not None
        assert decision.destination.host in decision.message


@pytest.mark.parametrize("entry", ["", "*", "10.0.0.1", "http://a.test", "a.test:http", "a b"])
def test_an_allow_entry_that_is_no_host_is_a_usage_error(entry: str) -> None:
    with pytest.raises(UsageError):
        policy(allow=(entry,))


# -- nonsense --


@pytest.mark.parametrize(
    "changes",
    [
        {"hosts": ()},
        {"hosts": ("api.github.com", "api.github.com")},
        {"method": "GE T"},
        {"method": ""},
        {"method": "CONNECT"},
        {"path": "user"},
        {"path": "/a b"},
        {"path": "/a\r\nHost: evil.test"},
        {"path": ""},
    ],
)
def test_nonsense_is_400(changes: dict[str, Any]) -> None:
    assert_denied(decide(head(**changes), policy()), "malformed", 400)


def test_the_proxy_is_no_server() -> None:
    assert_denied(decide(head(connect=None, tls=False, sni=None), policy()), "not-a-server", 400)


def test_absolute_https_to_the_proxy_is_refused() -> None:
    assert_denied(decide(plain(target=("https", "api.github.com")), policy()), "not-tunnelled")


def test_trace_would_give_the_token_back() -> None:
    assert_denied(decide(head(method="TRACE"), policy()), "trace")


_hosts = st.sampled_from(
    ["api.github.com", "attacker.test", "github.com", "api.github.com.evil.test", "10.0.0.1"]
)


@given(
    connect=_hosts,
    sni=st.none() | _hosts,
    host=_hosts,
    tls=st.booleans(),
    port=st.sampled_from([443, 80, 8443]),
)
def test_a_credential_only_where_everything_agrees(
    connect: str, sni: str | None, host: str, tls: bool, port: int
) -> None:
    is_ip = connect == "10.0.0.1"
    decision = decide(
        head(connect=Destination(connect, port, is_ip), sni=sni, hosts=(host,), tls=tls), policy()
    )
    if decision.grant is not None:
        assert tls
        assert connect == sni == host
        assert connect in ("api.github.com", "github.com")
        assert port == 443
