"""Over real sockets: a credential that the service refuses is named, and a renewed one is used at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from support.proxying import BEARER, CANARY, GITHUB, Proxying, proxying
from support.upstream import Response, SeenRequest, Upstream

from engine.errors import ProxyError

HOST = "api.github.com"
NEW = "ghp_RENEWED9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"
RENEWED = msgspec.structs.replace(GITHUB, values=(f"Bearer {NEW}",), secrets=(NEW,))


class Service(Upstream):
    """Takes the new token only. /echo answers with what it was sent."""

    async def respond(self, request: SeenRequest) -> Response:
        sent = request.all("authorization")
        if request.path == "/echo":
            return Response(200, f"{sent[0]} and once {CANARY}".encode(), kind="text/plain")
        if request.path.startswith("/403"):
            error = request.path.rpartition("/")[2]
            return Response(403, b"no", [("WWW-Authenticate", f'Bearer error="{error}"')])
        return await super().respond(request)


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    service = Service([HOST], expected=f"Bearer {NEW}", directory=tmp_path)
    async with service as running:
        yield running


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Proxying]:
    async with proxying(tmp_path, (HOST, upstream)) as running:
        yield running
    running.assert_no_canary()


async def test_a_refused_credential_is_named_in_the_record_and_its_successor_used(
    proxy: Proxying, upstream: Upstream
) -> None:
    await proxy.curl(f"https://{HOST}/user")
    proxy.server.renew(RENEWED)
    assert (await proxy.curl(f"https://{HOST}/user"))[1] == '{"login":"octocat"}'
    assert [request.all("authorization") for request in upstream.requests] == [[BEARER], [f"Bearer {NEW}"]]
    old, new = await proxy.notes.wait(2)
    assert (old.status_code, old.refused, new.refused, new.error) == (401, True, False, "")
    assert old.error == "the service refused the credential of grant github"


async def test_the_old_value_stays_masked_beside_the_new(proxy: Proxying) -> None:
    proxy.server.renew(RENEWED)
    await proxy.curl(f"https://{HOST}/echo")
    (record,) = await proxy.notes.wait(1)
    assert NEW not in proxy.notes.everything()
    assert "and once" in record.response_body
    assert CANARY not in record.response_body


async def test_what_was_learnt_at_run_time_stays_masked_through_a_renewal(proxy: Proxying) -> None:
    """A temporary AWS credential that was given to the run, then another token for github."""
    temporary = "temporary/AWS+secret0123456789"
    proxy.server._admission.redactor.learn((temporary,))
    proxy.server.renew(RENEWED)
    await proxy.curl(f"https://{HOST}/echo", "-H", f"X-Note: {temporary}")
    await proxy.notes.wait(1)
    assert temporary not in proxy.notes.everything()


@pytest.mark.parametrize(("path", "refused"), [("invalid_token", True), ("insufficient_scope", False)])
async def test_403_means_refused_only_where_the_service_says_so(
    proxy: Proxying, path: str, refused: bool
) -> None:
    await proxy.curl(f"https://{HOST}/403/{path}")
    (record,) = await proxy.notes.wait(1)
    assert (record.status_code, record.refused) == (403, refused)


async def test_a_value_that_cannot_be_sent_changes_nothing(proxy: Proxying, upstream: Upstream) -> None:
    with pytest.raises(ProxyError):
        proxy.server.renew(msgspec.structs.replace(GITHUB, values=("Bearer a\nb",)))
    await proxy.curl(f"https://{HOST}/user")
    assert upstream.requests[0].all("authorization") == [BEARER]
