"""`claude` (OAuth) beside `anthropic` (API key) at one host: neither overrides the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import pytest
from support.proxying import Proxying, proxying
from support.upstream import Upstream

from engine.credentials import Credential
from engine.grants import builtin_providers
from engine.run.granted.injections import injection

HOST = "api.anthropic.com"
VALUES = {"claude": "sk-ant-oat01-CANARYoauth0123456789", "anthropic": "sk-ant-api03-CANARYkey0123456789"}
OAUTH = builtin_providers()["claude"].env["CLAUDE_CODE_OAUTH_TOKEN"]
KEY = builtin_providers()["anthropic"].env["ANTHROPIC_API_KEY"]


def grant(name: str):
    stored = Credential(provider=name, token=VALUES[name], created_at="2026-01-01T00:00:00Z")
    return injection(builtin_providers()[name], stored)


@pytest.fixture(params=list(permutations(VALUES)), ids=" then ".join)
async def proxy(request, tmp_path: Path) -> AsyncIterator[tuple[Proxying, Upstream]]:
    async with Upstream([HOST], expected="-", directory=tmp_path) as upstream:
        grants = tuple(map(grant, request.param))
        async with proxying(tmp_path, (HOST, upstream), injections=grants) as running:
            yield running, upstream
        running.assert_no_canary()


@pytest.mark.parametrize(
    ("sent", "used"),
    [
        ([f"x-api-key: {KEY}"], "anthropic"),
        ([f"Authorization: Bearer {OAUTH}"], "claude"),
        # Claude Code with both variables set sends both; the OAuth placeholder is the more telling one
        ([f"Authorization: Bearer {OAUTH}", "x-api-key;"], "claude"),
        (["x-api-key: sk-of-the-clients-own"], "anthropic"),
        (["Authorization: Bearer sk-of-the-clients-own"], "claude"),
    ],
)
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_the_credential_is_the_one_that_the_client_meant(
    proxy: tuple[Proxying, Upstream], sent: list[str], used: str, version: str
) -> None:
    running, upstream = proxy
    await running.curl(
        version, *(word for header in sent for word in ("-H", header)), f"https://{HOST}/v1/models"
    )
    (request,) = upstream.requests
    if used == "claude":
        assert request.all("authorization") == [f"Bearer {VALUES['claude']}"]
        assert VALUES["anthropic"] not in request.all("x-api-key")
    else:
        assert request.all("x-api-key") == [VALUES["anthropic"]]
        assert request.all("authorization") == []
    assert [intent[0] for intent in running.notes.intents] == [used]


async def test_a_client_that_sends_both_placeholders_has_one_credential_sent(
    proxy: tuple[Proxying, Upstream],
) -> None:
    running, upstream = proxy
    headers = ("-H", f"x-api-key: {KEY}", "-H", f"Authorization: Bearer {OAUTH}")
    await running.curl(*headers, f"https://{HOST}/v1/models")
    (request,) = upstream.requests
    held = [*request.all("authorization"), *request.all("x-api-key")]
    assert len(held) == 1
    assert held[0].removeprefix("Bearer ") in VALUES.values()
    assert len(running.notes.intents) == 1
