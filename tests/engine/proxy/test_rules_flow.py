"""Threat 29 on real sockets: what the rules judged is what arrives, byte for byte, or nothing does."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.proxying import Http2Client, proxying
from support.upstream import Upstream

from engine.config.rules import HostRules, parse_rule

HOST = "files.test"
RULES = (HostRules(HOST, tuple(map(parse_rule, ("deny * /admin/**", "allow GET /**")))),)
SENT = ["/", "/@scope%2fname", "/a;v=1/b?x=../..//%2e", "/caf%c3%A9/%7Eme/"]
AMBIGUOUS = [
    "/x/..%2fadmin",
    "//admin",
    "/x/../admin",
    "/x/%2e%2e/admin",
    "/x/..;/admin",
    "/%61dmin",
    "/%c0%af",
]


@pytest.mark.parametrize("mode", ["strict", "permissive"])
async def test_what_is_judged_is_what_is_sent(tmp_path: Path, mode: str) -> None:
    async with (
        Upstream([HOST], http2=True, directory=tmp_path) as upstream,
        proxying(tmp_path, (HOST, upstream), injections=(), mode=mode, rules=RULES) as proxy,
    ):
        for path in SENT:
            answer = await proxy.ask(f"{HOST}:443", f"GET {path} HTTP/1.1\nHost: {HOST}")
            assert "x-moat-rule" not in answer.headers, path
        for path in AMBIGUOUS:
            answer = await proxy.ask(f"{HOST}:443", f"GET {path} HTTP/1.1\nHost: {HOST}")
            assert (answer.status, answer.headers["x-moat-rule"]) == (400, "ambiguous"), path
        refused = await proxy.ask(f"{HOST}:443", f"GET /admin/x HTTP/1.1\nHost: {HOST}")
        assert (refused.status, refused.headers["x-moat-rule"]) == (403, "rule-denied")
        assert b"deny * /admin/** for files.test (agent.yaml)" in refused.body

        client = Http2Client(*await proxy.tunnel(f"{HOST}:443", alpn=("h2",)))
        good = [client.get(HOST, path) for path in SENT]
        bad = [client.get(HOST, path) for path in AMBIGUOUS]
        await client.finish(*good, *bad)
        assert {client.statuses[stream] for stream in bad} == {400}
        assert sorted(request.path for request in upstream.requests) == sorted(SENT * 2)
        records = await proxy.notes.wait(2 * len(SENT + AMBIGUOUS) + 1)
        rules = [record.rule for record in records if record.decision == "allowed"]
        assert set(rules) == {"allow GET /** for files.test (agent.yaml)"}
        assert len([denial for denial in proxy.notes.denials if denial[2] == "ambiguous"]) == 2 * len(
            AMBIGUOUS
        )
