"""npm's registries, from the person's own .npmrc to a container that holds a placeholder for each."""

from __future__ import annotations

import pytest
from e2e.conftest import CANARY
from support.connect_relay import connect_relay

pytestmark = pytest.mark.docker

SCRIPT = """
cat "$NPM_CONFIG_USERCONFIG"
token=$(sed -n 's/.*_authToken=//p' "$NPM_CONFIG_USERCONFIG")
curl -s -H "Authorization: Bearer $token" https://api.github.com/user
"""


def test_the_registrys_token_goes_to_the_registry(moat, workspace, github, tmp_path):
    person = tmp_path / "person"
    person.mkdir()
    # the service that is there plays the registry
    (person / ".npmrc").write_text(
        f"registry=https://api.github.com/\n//api.github.com/:_authToken={CANARY}\n"
    )
    (workspace / ".npmrc").write_text("registry=https://evil.test/\n//evil.test/:_authToken=x\n")
    with connect_relay(github.upstream.port) as relay:
        near = {"HOME": str(person), "HTTPS_PROXY": relay, "SSL_CERT_FILE": str(github.ca_file)}
        done = moat("grant", "npm", **near)
    assert b"taken from ~/.npmrc" in done.stdout
    assert github.seen("/-/whoami")[-1].all("authorization") == [f"Bearer {CANARY}"]
    assert moat.json("grant", "show", "npm")["hosts"] == ["api.github.com"]
    done = moat(
        "--no-ui", "run", "-n", "npm", "-g", "npm", *github.flags(), workspace, "--no-sandbox", "--",
        "sh", "-c", SCRIPT,
    )  # fmt: skip
    assert done.stdout.decode().splitlines() == [
        "cafile=/moat/ca/bundle.crt",
        "registry=https://api.github.com/",
        "//api.github.com/:_authToken=npm_moatProxyInjected00000000",
        '{"login":"octocat"}',
    ]
    assert moat.files_with(CANARY) == []
