"""What the proxy itself gives to its run: to whom, recorded how, and never written down."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support.proxying import TOKEN, Http2Client, Proxying, closed, proxying

from engine.errors import AuditGateClosed, GrantError
from engine.proxy import Given, Served
from engine.proxy.mask import Masker

SECRET = "CANARY-temporary-secret/+key"
PATH = "/_aws/credentials"
ASK = f"GET {PATH} HTTP/1.1\nHost: proxy.test"
BEARER = f"\nAuthorization: Bearer {TOKEN}"


class Source:
    def __init__(self) -> None:
        self.asked = 0
        self.error: GrantError | None = None

    async def give(self) -> Given:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return Given(json.dumps({"SecretAccessKey": SECRET}), "sts.test", (SECRET,))


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def proxy(tmp_path: Path, source: Source) -> AsyncIterator[Proxying]:
    async with proxying(tmp_path, served=(Served(PATH, "aws", ("*.aws.test",), source.give),)) as running:
        yield running
    running.assert_no_canary()
    assert SECRET not in running.notes.everything()


async def test_the_run_gets_it_and_the_fetch_is_recorded(proxy: Proxying, source: Source) -> None:
    answer = await proxy.plain(ASK + BEARER, token="")
    assert (answer.status, json.loads(answer.body)) == (200, {"SecretAccessKey": SECRET})
    assert answer.headers["cache-control"] == "no-store"
    assert proxy.notes.intents == [("aws", "fetch", "sts.test")]
    (record,) = await proxy.notes.wait(1)
    assert (record.status_code, record.grant, record.decision, record.error) == (200, "aws", "allowed", "")
    assert (record.url, record.rule, record.response_body) == (f"http://moat{PATH}", "", "[REDACTED]")


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "\nAuthorization: Bearer " + TOKEN[:-1],
        "\nAuthorization: Bearer another-runs-token-0123456789abcdefghijklmn",
        f"\nAuthorization: Basic {TOKEN}",
        "\nAuthorization: Bearer",
        "\nAuthorization: Bearer \xe9",
        BEARER + BEARER,
        f"\nProxy-Authorization: Bearer {TOKEN}",
    ],
)
async def test_threat_23_without_the_runs_token_there_is_nothing(
    proxy: Proxying, source: Source, fields: str
) -> None:
    answer = await proxy.plain(ASK + fields, token="")
    assert answer.status == 401
    assert source.asked == 0
    ((_, _, rule, _),) = proxy.notes.denials
    assert rule == "run-token"
    (record,) = await proxy.notes.wait(1)
    assert (record.decision, record.rule, record.grant) == ("denied", "run-token", "")


@pytest.mark.parametrize(
    "carried",
    [
        f"GET /x HTTP/1.1\nHost: HOST\nX-Amz-Security-Token: {SECRET}",
        f"GET /x?a=1&X-Amz-Security-Token={quote(SECRET, safe='')} HTTP/1.1\nHost: HOST",
    ],
)
async def test_threat_11_what_was_given_goes_to_its_own_service_only(
    proxy: Proxying, source: Source, carried: str
) -> None:
    assert (
        await proxy.ask("other.test:443", carried.replace("HOST", "other.test"))
    ).status == 502  # not known
    await proxy.plain(ASK + BEARER, token="")
    for place, tls in (("other.test", True), ("s3.aws.test.other.test", True), ("s3.aws.test", False)):
        port = 443 if tls else 80
        answer = await proxy.ask(f"{place}:{port}", carried.replace("HOST", place), tls=tls)
        assert answer.status == 403, place
        assert proxy.notes.denials[-1][3].startswith(
            "ALARM: The temporary credentials of grant aws were sent"
        )
    assert (
        await proxy.ask("s3.aws.test:443", carried.replace("HOST", "s3.aws.test"))
    ).status == 502  # allowed
    assert len(proxy.notes.denials) == 3


@pytest.mark.parametrize(
    "head",
    [
        ASK.replace("GET", "POST"),
        ASK.replace(PATH, PATH + "/"),
        ASK.replace(PATH, "/%5faws/credentials"),
        ASK.replace(PATH, "/_aws/../_aws/credentials"),
    ],
)
async def test_anything_else_is_answered_as_ever(proxy: Proxying, source: Source, head: str) -> None:
    answer = await proxy.plain(head + BEARER, token="")
    assert answer.status == 400
    assert answer.headers["x-moat-rule"] == "not-a-server"
    assert source.asked == 0


async def test_the_same_path_elsewhere_is_not_it(proxy: Proxying, source: Source) -> None:
    """In a tunnel it is the upstream's path, whatever the tunnel carries."""
    answer = await proxy.ask("nowhere.test:443", ASK.replace("proxy.test", "nowhere.test") + BEARER)
    assert answer.status == 502
    reader, writer = await proxy.tunnel("nowhere.test:443", alpn=("h2",))
    client = Http2Client(reader, writer)
    stream = client.get("nowhere.test", PATH, ("authorization", f"Bearer {TOKEN}"))
    await client.finish(stream)
    await closed(writer)
    assert client.statuses[stream] == 502
    assert source.asked == 0
    assert proxy.notes.intents == []


async def test_what_cannot_be_given_is_explained_inside_and_in_the_log(
    proxy: Proxying, source: Source
) -> None:
    source.error = GrantError("AWS refused it", detail="AccessDenied", remedy="Trust it.")
    answer = await proxy.plain(ASK + BEARER, token="")
    assert answer.status == 500
    assert json.loads(answer.body) == {
        "error": "AWS refused it",
        "detail": "AccessDenied",
        "remedy": "Trust it.",
    }
    (record,) = await proxy.notes.wait(1)
    assert "AWS refused it. AccessDenied. Trust it." in record.error
    assert proxy.notes.intents == []


async def test_threat_37_what_cannot_be_recorded_is_not_given(proxy: Proxying, source: Source) -> None:
    proxy.notes.refuse = AuditGateClosed("the disk is full")
    answer = await proxy.plain(ASK + BEARER, token="")
    assert answer.status == 503
    assert SECRET.encode() not in answer.body


def test_a_masker_learns_and_forgets_what_has_expired() -> None:
    masker = Masker(["the-runs-token"])
    for number in range(5):
        masker.learn([f"temporary-{number}"])
        masker.learn([f"temporary-{number}"])
    text = "the-runs-token temporary-0 temporary-2 temporary-4"
    assert masker.mask(text) == "[REDACTED] temporary-0 [REDACTED] [REDACTED]"
    assert masker.longest > len("temporary-4")


def test_a_values_beginning_at_a_cut_is_found_however_often_it_seems_to_begin() -> None:
    masker = Masker(["abcdabcdabcdX"])
    assert masker.mask("... abcdabcd", cut=True) == "... [REDACTED]"
    assert masker.mask("... abcdabcdabcdab", cut=True) == "... abcd[REDACTED]"
    assert (
        masker.mask("... abcdabcdabcdabcdab", cut=True) == "... abcdabcd[REDACTED]"[:4] + "abcdabcd[REDACTED]"
    )
    assert masker.mask("... abc", cut=True) == "... abc"
