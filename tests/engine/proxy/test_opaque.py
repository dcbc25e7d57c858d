"""Tunnels that pass unseen: under the policy, never with a credential, and shown as what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from support.proxying import CANARY, TRANSPARENT, closed, proxying
from support.upstream import Upstream

from engine.config.rules import HostRules, parse_rule

PINNED = "pinned.test"
API = "api.github.com"
SOME = (HostRules(PINNED, (parse_rule("deny POST /admin/**"),)),)


def pinning(upstream: Upstream) -> tuple[str, ...]:
    """curl as a client that trusts this one server and nobody's CA."""
    return ("--cacert", str(upstream.ca_file))


async def test_a_pinned_client_is_served_and_its_traffic_counted(tmp_path: Path) -> None:
    async with (
        Upstream([PINNED]) as upstream,
        proxying(
            tmp_path, (PINNED, upstream), mode="strict", allow=(PINNED,), passthrough=(PINNED,)
        ) as proxy,
    ):
        body = "x" * 100_000
        code, out = await proxy.curl(*pinning(upstream), "-d", body, f"https://{PINNED}/secret-path")
        assert code == 0, out
        assert upstream.requests[0].size == len(body)
        record = (await proxy.notes.wait(1))[0]
        assert (record.method, record.url, record.host) == ("CONNECT", f"{PINNED}:443", PINNED)
        assert (record.decision, record.rule, record.status_code, record.error) == (
            "allowed",
            "passthrough",
            200,
            "",
        )
        assert record.bytes_out > len(body)
        assert record.bytes_in > 500
        assert "secret-path" not in proxy.notes.everything()
        assert proxy.notes.passes == [(PINNED, f"CONNECT {PINNED}:443", "passthrough")]


async def test_at_the_transparent_entry_too(tmp_path: Path) -> None:
    async with (
        Upstream([PINNED]) as upstream,
        proxying(tmp_path, (PINNED, upstream), transparent=True, passthrough=("*.test",)) as proxy,
    ):
        door = f"{PINNED}:443:{TRANSPARENT}:{proxy.entries[443]}"
        code, out = await proxy.curl(
            *pinning(upstream), "--noproxy", "*", "--connect-to", door, f"https://{PINNED}/", token=""
        )
        assert code == 0, out
        assert (await proxy.notes.wait(1))[0].rule == "passthrough"


@pytest.mark.parametrize(
    ("host", "sni", "spec"),
    [
        pytest.param(API, API, {"passthrough": (API, "*.github.com")}, id="a host of a grant"),
        pytest.param(PINNED, PINNED, {"passthrough": (PINNED,), "mode": "strict"}, id="not allowed"),
        pytest.param(PINNED, PINNED, {"passthrough": (PINNED,), "rules": SOME}, id="rules for its paths"),
        pytest.param(PINNED, "other.test", {"passthrough": (PINNED,)}, id="another SNI"),
        pytest.param(PINNED, "", {"passthrough": (PINNED,)}, id="no SNI"),
        pytest.param("other.test", "other.test", {"passthrough": (PINNED,)}, id="another host"),
        pytest.param(PINNED, PINNED, {"passthrough": (f"{PINNED}:8443",)}, id="another port"),
    ],
)
async def test_threat_2_everything_else_is_intercepted(
    tmp_path: Path, host: str, sni: str, spec: dict[str, object]
) -> None:
    async with Upstream([host]) as upstream, proxying(tmp_path, (host, upstream), **spec) as proxy:
        _, writer = await proxy.tunnel(f"{host}:443", sni=sni, verify=False)
        served = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        authority = x509.load_pem_x509_certificate(proxy.files.ca.read_bytes())
        x509.load_der_x509_certificate(served).verify_directly_issued_by(authority)
        await closed(writer)
        assert proxy.notes.passes == []


async def test_threat_19_a_private_address_is_refused_and_audited(tmp_path: Path) -> None:
    async with proxying(tmp_path, passthrough=("localhost:8443",)) as proxy:
        code, _ = await proxy.curl("https://localhost:8443/")
        assert code != 0
        record = (await proxy.notes.wait(1))[0]
        assert (record.decision, record.rule) == ("denied", "private-address")
        assert [denial[2] for denial in proxy.notes.denials] == ["private-address"]


async def test_a_placeholder_inside_stays_one(tmp_path: Path) -> None:
    async with (
        Upstream([PINNED]) as upstream,
        proxying(tmp_path, (PINNED, upstream), passthrough=(PINNED,)) as proxy,
    ):
        await proxy.curl(*pinning(upstream), "-H", "Authorization: Bearer placeholder", f"https://{PINNED}/")
        assert upstream.requests[0].all("authorization") == ["Bearer placeholder"]
        assert CANARY not in str(upstream.requests)
        assert proxy.notes.intents == []
