"""OAuth credentials are refreshed on the host, once for all runs, and what is new is never lost."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from support.connect_relay import connect_relay
from support.token_endpoint import token_endpoint

from engine.credentials import CredentialStore
from engine.errors import GrantError
from engine.events import GrantState
from engine.granting import list_grants, revoke_grant, save_grant
from engine.grants import load_providers, refreshing
from engine.grants.route import Route
from engine.home import Home
from engine.proxy import parse_connect_to
from engine.proxy.upstream_proxy import UpstreamProxy
from engine.run.granted import refresh, renewal
from engine.run.granted.injections import open_grants
from engine.run.granted.refresh import refreshed

FIRST = "sk-ant-oat01-canary-first"
HOST = "console.anthropic.com"
SOURCE = "~/.claude/.credentials.json"


def ahead(**more):
    return datetime.now(UTC) + timedelta(**more)


class Person:
    """Whose Claude Code has logged in, and who granted that to Moat."""

    def __init__(self, root, service):
        self.home = Home(root / "moat")
        self.store = CredentialStore(self.home)
        self.claude = load_providers(self.home).get("claude")
        self.file = root / ".claude" / ".credentials.json"
        self.file.parent.mkdir()
        self.service = service.upstream
        self.route = lambda host, port: Route(("127.0.0.1", self.service.port), self.service.ca_file)

    def logs_in(self, token=FIRST, refresh_token="refresh-canary-0", **left):
        kept = {"accessToken": token, "refreshToken": refresh_token}
        kept["expiresAt"] = int(ahead(**left or {"minutes": 1}).timestamp() * 1000)
        self.file.write_text(json.dumps({"claudeAiOauth": kept}))
        return token

    def grants(self, **more):
        save_grant(self.home, "claude", self.logs_in(**more), source=SOURCE)

    def open(self):
        return open_grants(self.store, ["claude"], load_providers(self.home), self.route)

    @property
    def grant(self):
        (grant,) = list_grants(self.home)
        return grant


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    service = token_endpoint((HOST, "login.mycorp.com"), tmp_path_factory.mktemp("endpoint"))
    yield service
    service.close()


@pytest.fixture
def person(tmp_path, monkeypatch, endpoint):
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(renewal, "LOOK_EVERY", 0.01)
    it = endpoint.upstream
    it.good, it.given, it.status, it.lifetime = "refresh-canary-0", 0, 0, 3600
    it.answer = b""
    it.asked.clear()
    return Person(tmp_path, endpoint)


def test_what_is_about_to_expire_is_refreshed_before_a_run_has_it(person):
    person.grants()
    before = person.file.read_bytes()
    granted = person.open()
    assert granted.injections[0].values == ("Bearer sk-ant-oat01-canary-access-1",)
    assert (granted.expired, granted.troubles) == ((), ())
    (asked,) = person.service.asked
    assert asked["refresh_token"] == "refresh-canary-0"
    assert asked["client_id"] == person.claude.refresh.client_id
    stored = person.store.get("claude")
    assert (stored.token, stored.metadata["refresh_token"]) == (person.service.token, person.service.good)
    assert timedelta(minutes=59) < datetime.fromisoformat(stored.expires_at) - datetime.now(UTC)
    assert person.open().injections[0].values == granted.injections[0].values  # and not again
    assert len(person.service.asked) == 1
    assert person.file.read_bytes() == before
    assert person.grant.state is GrantState.VALID
    for canary in ("canary-first", "refresh-canary", "canary-access"):
        assert canary not in repr((stored, granted, person.grant))
        assert [
            f for f in person.home.root.rglob("*") if f.is_file() and canary.encode() in f.read_bytes()
        ] == []


def test_what_lasts_is_left_alone(person):
    person.grants(hours=1)
    assert person.open().injections[0].values == (f"Bearer {FIRST}",)
    assert person.service.asked == []


def test_two_runs_that_refresh_at_once_ask_once(person):
    person.grants()
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda _: refreshed(CredentialStore(person.home), person.claude, person.route), range(8))
        )
    assert {each.token for each in found} == {person.service.token}
    assert len(person.service.asked) == 1


def test_a_token_for_minutes_is_not_asked_for_all_the_time(person):
    person.grants()
    person.service.lifetime = 60
    for _ in range(3):
        person.open()
    assert len(person.service.asked) == 1


async def test_a_live_run_uses_the_new_value_from_then_on_and_every_later_one(person, monkeypatch):
    monkeypatch.setattr(refresh, "AGAIN", timedelta(seconds=0.2))
    person.grants(hours=1)
    granted, values, notices = person.open(), asyncio.Queue(), asyncio.Queue()
    person.grants(minutes=2)  # the same value: it only turns out to end sooner
    person.service.lifetime = 60  # which is at once about to expire again

    async def renewed(injection):
        values.put_nowait(injection.values[0])
        if person.service.given == 2:
            person.service.status = 503

    watching = asyncio.ensure_future(granted.renewal.watch(renewed, notices.put_nowait))
    async with asyncio.timeout(20):
        assert await values.get() == "Bearer sk-ant-oat01-canary-access-1"
        assert await values.get() == "Bearer sk-ant-oat01-canary-access-2"
        notice = await notices.get()
    watching.cancel()
    assert "the run keeps the credential of claude that it has" in notice
    assert "503" in notice
    assert notices.empty()
    assert person.grant.state is GrantState.STALE
    assert person.store.get("claude").token == "sk-ant-oat01-canary-access-2"


def test_claude_codes_own_refresh_goes_before_ours(person):
    person.grants()
    person.logs_in("sk-ant-oat01-canary-of-the-cli", "refresh-canary-cli", hours=1)
    assert person.open().injections[0].values == ("Bearer sk-ant-oat01-canary-of-the-cli",)
    assert person.store.get("claude").metadata["refresh_token"] == "refresh-canary-cli"
    assert person.service.asked == []


def test_what_the_file_says_later_does_not_undo_a_refresh(person):
    person.grants()
    granted = person.open()
    (opened,) = granted.renewal._opened
    granted.renewal._reread(opened)
    assert person.store.get("claude").token == person.service.token


@pytest.mark.parametrize(("status", "again"), [(400, False), (401, False), (500, True), (302, True)])
def test_a_refresh_that_fails_is_a_state_with_a_remedy(person, monkeypatch, status, again):
    person.grants(minutes=-1)
    person.service.status = status
    granted = person.open()
    assert granted.injections[0].values == (f"Bearer {FIRST}",)
    assert granted.expired == ("claude",)
    (trouble,) = granted.troubles
    assert "could not be refreshed" in trouble
    assert "moat grant claude" in trouble
    assert person.grant.state is GrantState.STALE
    assert f"{status}" in person.grant.problem
    assert "moat grant claude" in person.grant.problem
    assert "canary" not in trouble + person.grant.problem
    person.open()
    assert len(person.service.asked) == 1  # not hammered
    person.service.status = 0
    monkeypatch.setattr(refresh, "AGAIN", timedelta(0))
    person.open()
    assert (person.grant.state is GrantState.VALID) is again
    person.grants(hours=1)
    assert person.grant.state is GrantState.VALID


@pytest.mark.parametrize("answer", [b"[]", b'{"access_token":"a b"}', b'{"x":' + b"[" * 100_000])
def test_an_endpoint_that_answers_nonsense_ends_no_run(person, answer):
    person.grants()
    person.service.answer = answer
    with pytest.raises(GrantError, match="without a usable token"):
        refreshed(person.store, person.claude, person.route)
    assert person.grant.state is GrantState.STALE


@pytest.mark.parametrize(("lifetime", "known"), [("3600", True), ("soon", False), ("", False)])
def test_a_lifetime_in_another_form_loses_no_token(person, lifetime, known):
    person.grants()
    person.service.lifetime = lifetime
    got = refreshed(person.store, person.claude, person.route)
    assert (got.token, bool(got.expires_at)) == (person.service.token, known)


def test_an_endpoint_that_is_away_is_said_and_tried_again(person):
    person.grants()
    person.route = lambda host, port: Route(("127.0.0.1", 1))
    with pytest.raises(GrantError, match="cannot be reached"):
        refreshed(person.store, person.claude, person.route)
    assert person.grant.state is GrantState.STALE


@pytest.mark.parametrize("deed", ["regrant", "revoke"])
def test_what_a_person_does_meanwhile_counts(person, monkeypatch, deed):
    person.grants()
    real = refreshing.refresh

    def slow(*args):
        answer = real(*args)
        if deed == "regrant":
            save_grant(person.home, "claude", "sk-ant-oat01-canary-typed", source="prompt")
        else:
            revoke_grant(person.home, "claude")
        return answer

    monkeypatch.setattr(refreshing, "refresh", slow)
    if deed == "regrant":
        assert refreshed(person.store, person.claude, person.route).token == "sk-ant-oat01-canary-typed"
    else:
        with pytest.raises(Exception, match="no credential is stored"):
            refreshed(person.store, person.claude, person.route)
        assert list_grants(person.home) == []


def test_the_new_pair_is_on_the_disk_before_it_is_used(person, monkeypatch):
    person.grants()
    order = []
    put = CredentialStore.put
    monkeypatch.setattr(CredentialStore, "put", lambda *args: order.append("put") or put(*args))
    token = refreshed(person.store, person.claude, person.route).token
    assert order == ["put"]
    assert CredentialStore(person.home).get("claude").token == token


def test_it_goes_by_the_way_of_the_runs_own_requests(person):
    """--connect-to first, then the network's proxy, which is shown its password; and the CA goes along."""
    ca = person.service.ca_file
    proxy = UpstreamProxy("127.0.0.1", 3128, "me:p@ss/word", no_proxy="near.test")
    detour = parse_connect_to(f"{HOST}:443:127.0.0.1:{person.service.port}")
    spec = SimpleNamespace(connect_to=(detour,), upstream_ca=ca, upstream_proxy=proxy)
    route = refresh.router(spec)
    assert route(HOST, 443) == Route(("127.0.0.1", person.service.port), ca)
    assert route("login.test", 443) == Route(None, ca, "http://me:p%40ss%2Fword@127.0.0.1:3128")
    assert route("near.test", 443) == Route(None, ca, "")
    assert "p%40ss" not in repr(route("login.test", 443))
    with connect_relay(person.service.port) as relay:
        seen = UpstreamProxy("127.0.0.1", int(relay.rpartition(":")[2]))
        spec = SimpleNamespace(connect_to=(), upstream_ca=ca, upstream_proxy=seen)
        person.grants()
        assert refreshed(person.store, person.claude, refresh.router(spec)).token == person.service.token


OWN = """
mycorp:
  title: My Corp
  hosts: [{pattern: api.mycorp.com, header: Authorization, format: "Bearer {token}"}]
  sources: [{file: ~/.mycorp, field: access, refresh: renew, expires: until}]
  refresh: {url: "https://login.mycorp.com/oauth/token"}
"""


def test_a_persons_own_provider_may_have_it_too(person, tmp_path):
    person.home.write(person.home.providers / "mine.yaml", OWN.encode())
    kept = {"access": "canary-own", "renew": "refresh-canary-0", "until": ahead(minutes=2).isoformat()}
    (tmp_path / ".mycorp").write_text(json.dumps(kept))
    save_grant(person.home, "mycorp", "canary-own", source="~/.mycorp")
    token = refreshed(person.store, load_providers(person.home).get("mycorp"), person.route).token
    assert token == person.service.token
    assert person.service.asked == [{"grant_type": "refresh_token", "refresh_token": "refresh-canary-0"}]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('refresh: {url: "http://login.mycorp.com/token"}', "over https"),
        ('refresh: {url: "https://me@login.mycorp.com/token"}', "over https"),
        ('refresh: {url: "https://*.mycorp.com/token"}', "over https"),
        ('refresh: {url: "https://login.mycorp.com/token", body: xml}', "form or json"),
        ("title: My Corp", "refresh: below"),
    ],
)
def test_a_mistake_in_it_is_named(person, line, said):
    text = OWN.replace('refresh: {url: "https://login.mycorp.com/oauth/token"}', line).replace(
        "  title: My Corp\n", "", int(line.startswith("title"))
    )
    person.home.write(person.home.providers / "mine.yaml", text.encode())
    (problem,) = load_providers(person.home).bad
    assert said in problem.what
