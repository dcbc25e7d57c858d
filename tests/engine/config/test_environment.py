from __future__ import annotations

import pytest

from engine.config import check_env, parse_env_pair
from engine.errors import UsageError

CANARY = "canary-91bb-secret-value"
PROXIES = [
    "HTTP_PROXY", "http_proxy", "Http_Proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy",
    "NO_PROXY", "no_proxy", "FTP_PROXY", "NODE_USE_ENV_PROXY", "npm_config_proxy", "NPM_CONFIG_HTTPS_PROXY",
    "CARGO_HTTP_PROXY", "GLOBAL_AGENT_HTTP_PROXY", "PIP_PROXY",
]  # fmt: skip


@pytest.mark.parametrize("name", [*PROXIES, "MOAT_HOME", "MOAT_", "moat_x"])
def test_reserved_names_are_refused_by_name_and_without_value(name: str) -> None:
    with pytest.raises(UsageError, match=rf"^-e: {name} is reserved") as caught:
        parse_env_pair(f"{name}={CANARY}")
    assert CANARY not in str(caught.value)
    with pytest.raises(UsageError, match=rf"^agent\.yaml: {name}"):
        check_env({"OK": "1", name: CANARY}, "agent.yaml")


@pytest.mark.parametrize("name", ["TRUST_PROXY", "GOPROXY", "PROXY", "MY_MOAT_X", "_", "a1", "SSL_CERT_FILE"])
def test_other_names_are_not(name: str) -> None:
    assert parse_env_pair(f"{name}=a=b\n") == (name, "a=b\n")


def test_an_empty_value_is_a_value() -> None:
    assert parse_env_pair("A=") == ("A", "")


@pytest.mark.parametrize(
    "text", [CANARY, f"1A={CANARY}", f"={CANARY}", f"A B={CANARY}", f"A={CANARY}\0", f"A={CANARY}\udcff"]
)
def test_malformed_pairs_are_refused_without_their_value(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_env_pair(text)
    assert CANARY not in str(caught.value)
    assert caught.value.exit_code == 2
