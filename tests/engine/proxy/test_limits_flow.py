"""Over real sockets: what is outside a grant's limits is denied, whole, and what is inside arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from support.proxying import BEARER, GITHUB, Proxying, proxying
from support.upstream import Upstream

from engine.config import Limits
from engine.grants import builtin_providers

HOST = "api.github.com"


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    async with Upstream([HOST], expected=BEARER, directory=tmp_path) as running:
        yield running


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Proxying]:
    scope = builtin_providers()["github"].scopes["ro"]
    narrow = msgspec.structs.replace(GITHUB, scope_name="ro", scope=scope, limits=(Limits(max_requests=2),))
    async with proxying(tmp_path, (HOST, upstream), injections=(narrow,)) as running:
        yield running
    running.assert_no_canary()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_outside_the_scope_nothing_is_sent(proxy: Proxying, upstream: Upstream, version: str) -> None:
    _, out = await proxy.curl(version, "-X", "DELETE", f"https://{HOST}/repos/me/x")
    assert "rule: grant-scope" in out
    assert "why: The grant github:ro of this run does not cover this DELETE request to api.github.com." in out
    assert upstream.requests == []
    assert proxy.notes.intents == []
    ((host, operation, rule, message),) = proxy.notes.denials
    assert (host, rule) == (HOST, "grant-scope")
    assert operation == f"DELETE https://{HOST}/repos/me/x"
    assert "github:ro" in message
    (record,) = await proxy.notes.wait(1)
    assert (record.decision, record.rule, record.status_code, record.grant) == (
        "denied", "grant-scope", 403, "",
    )  # fmt: skip


async def test_inside_it_requests_go_until_their_number_is_reached(
    proxy: Proxying, upstream: Upstream
) -> None:
    for _ in range(2):
        assert (await proxy.curl(f"https://{HOST}/user"))[1] == '{"login":"octocat"}'
    _, out = await proxy.curl(f"https://{HOST}/user")
    assert "given for 2 requests (max_requests)" in out
    assert len(upstream.requests) == 2
