"""Threats 11, 12, 14, 30 and 31 on every kind of grant at once: one proxy, all hosts, all values."""

from __future__ import annotations

import base64
import json

import pytest
from support.kinds import PROVIDERS, Place, granted, places, values
from support.messages import Response, SeenRequest
from support.proxying import TOKEN, proxying
from support.upstream import Upstream

from engine.proxy import ProxySpec
from engine.proxy.decision import RequestHead
from engine.proxy.destination import Destination
from engine.proxy.policy import Policy, decide

ALL = tuple(map(granted, PROVIDERS))
# Narrowed ones keep the rules of whole ones.
NARROW = (
    "github:ro",
    "openai;methods=GET|POST;paths=/**",
    "npm;max_requests=100",
    "mycorp;expires_in=1h",
)
POLICY = Policy.of(ProxySpec("run_test", TOKEN, "127.0.0.0/8", injections=ALL))


class Telling(Upstream):
    """Says everything that it was told again: in cookies, in the body of an OAuth answer."""

    async def respond(self, request: SeenRequest) -> Response:
        told = [value for _, value in request.headers] + [request.body.decode("latin-1")]
        body = {"access_token": told[0], "told": told, "headers": request.headers}
        cookies = [("Set-Cookie", f"session={value}; Path=/") for value in told if value]
        return Response(200, json.dumps(body).encode(), cookies)


def spellings(placeholder: str, header: str) -> list[tuple[tuple[tuple[bytes, bytes], ...], str]]:
    """Header fields and path that send a stand-in."""
    basic = base64.b64encode(f"x-access-token:{placeholder}".encode()).decode()
    fields = [(header, placeholder), (header, f"Bearer {placeholder}"), ("Authorization", f"Basic {basic}")]
    fields += [("Cookie", f"session={placeholder}"), ("X-Anything", placeholder)]
    forms = [(((name.encode(), value.encode()),), "/") for name, value in fields]
    return [*forms, ((), f"/v1?key={placeholder}"), ((), f"/{placeholder}/x")]


def ask(host: str, headers: tuple[tuple[bytes, bytes], ...], path: str) -> RequestHead:
    return RequestHead("GET", path, headers, (host,), None, Destination(host, 443), True, host)


def covering(placeholder: str) -> set[str]:
    """The grants whose stand-in it is: the generic one has many."""
    return {each.grant for each in ALL if placeholder in each.placeholders}


@pytest.mark.parametrize("place", places(), ids=lambda place: f"{place.grant}-{place.host}")
def test_threat_11_a_stand_in_sent_elsewhere_is_an_alarm(place: Place) -> None:
    (placeholder, *_) = granted(place.grant).placeholders
    foreign = {other.host for other in places() if other.grant not in covering(placeholder)}
    own = {other.host for other in places() if other.grant in covering(placeholder)}
    for headers, path in spellings(placeholder, place.header):
        for host in ("attacker.test", f"{place.host}.attacker.test", *(foreign - own)):
            decision = decide(ask(host, headers, path), POLICY)
            assert (decision.allowed, decision.rule, decision.alarm) == (False, "placeholder", True), host
        assert decide(ask(place.host, headers, path), POLICY).allowed


@pytest.mark.parametrize("wishes", [tuple(PROVIDERS), NARROW], ids=["whole", "narrowed"])
async def test_threat_12_the_clients_own_value_leaves_once_as_the_grants(tmp_path, wishes) -> None:
    known = places(*wishes)
    hosts = sorted({place.host for place in known})
    async with Upstream(hosts) as upstream:
        reached = [(host, upstream) for host in hosts]
        async with proxying(tmp_path, *reached, injections=tuple(map(granted, wishes))) as proxy:
            for place in known:
                path = "/o/r/raw/x" if place.host == "github.com" else "/user"
                for client in (["mine"], ["mine", "and mine"], ["Bearer mine"]):
                    fields = "".join(f"\n{place.header}: {value}" for value in client)
                    answer = await proxy.ask(
                        f"{place.host}:443", f"GET {path} HTTP/1.1\nHost: {place.host}{fields}"
                    )
                    assert answer.status == 200, (place.grant, answer.body)
                    sent = upstream.requests[-1]
                    assert sent.all(place.header) == [place.value], place.grant
                    others = [value for name, value in sent.headers if name.lower() != place.header.lower()]
                    assert not any("canary" in value or "mine" in value for value in others), place.grant
                    assert proxy.notes.intents[-1] == (place.grant, "inject-replaced", place.host)
    for place in known:
        assert place.value not in proxy.notes.everything()


async def test_threat_30_31_what_a_service_says_again_is_nowhere(tmp_path) -> None:
    known = places()
    hosts = sorted({place.host for place in known})
    async with Telling(hosts) as upstream:
        reached = [(host, upstream) for host in hosts]
        async with proxying(tmp_path, *reached, injections=ALL) as proxy:
            for place in known:
                secret = place.value.rpartition(" ")[2]
                body = json.dumps({"grant_type": "refresh_token", "refresh_token": secret, "note": secret})
                head = (
                    f"POST /token?access_token={secret}&key={secret} HTTP/1.1\nHost: {place.host}\n"
                    f"{place.header}: mine\nCookie: session={secret}\nContent-Type: application/json\n"
                    f"Content-Length: {len(body)}"
                )
                answer = await proxy.ask(f"{place.host}:443", head, body.encode())
                assert answer.status == 200, answer.body
                assert upstream.requests[-1].all(place.header) == [place.value]
                seen = answer.body.decode() + json.dumps(answer.headers)
                assert "xxxxxxxx" in seen, place.grant
                assert secret not in seen, place.grant
                record = (await proxy.notes.wait(len(upstream.requests)))[-1]
                host, _, message = proxy.notes.scrubs[-1]
                assert (host, f"grant {place.grant} came" in message) == (place.host, True)
                assert record.request_headers[place.header] == "[REDACTED]"
                assert record.request_headers["Cookie"] == "[REDACTED]"
                assert {
                    value for name, value in record.response_headers.items() if name.lower() == "set-cookie"
                } == {"[REDACTED]"}
                assert record.url.endswith("/token?access_token=[REDACTED]&key=[REDACTED]")
    everything = proxy.notes.everything()
    for value in values():
        assert value not in everything
        for form in (base64.b64encode(f"robot:{value}".encode()), base64.b64encode(value.encode())):
            assert form.decode()[8:-4] not in everything
