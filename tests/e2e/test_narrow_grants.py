"""Narrowed grants and a person's own provider, on real clients in a container."""

from __future__ import annotations

import os

import pytest
from e2e.conftest import CANARY

pytestmark = pytest.mark.docker

READING = """
set -u
curl -s https://api.github.com/user; echo
git clone -q https://github.com/octo/repo.git /tmp/repo && cat /tmp/repo/*
curl -s -X POST -d '{"query":"{viewer{login}}"}' https://api.github.com/graphql
curl -s -o /dev/null -w '%{http_code}\\n' -X DELETE https://api.github.com/repos/octo/repo
cd /tmp/repo && git push -q origin HEAD:main 2>&1 | grep -o 'rule: grant-[a-z]*'
"""


def test_a_read_only_grant_reads_and_clones_and_changes_nothing(moat, workspace, github):
    moat.grant()
    (workspace / "agent.yaml").write_text("grants: [github:ro]\n")
    before = len(github.upstream.requests)
    done = moat(
        "--no-ui",
        "run",
        "-n",
        "reader",
        *github.flags(),
        workspace,
        "--no-sandbox",
        "--",
        "sh",
        "-c",
        READING,
    )
    out = done.stdout.decode()
    assert "octocat" in out
    assert "hello from the repository" in out
    assert "rule: grant-scope" in out
    assert "GraphQL is refused" in out
    assert out.splitlines()[-2:] == ["403", "rule: grant-scope"]
    sent = github.upstream.requests[before:]
    assert not [request for request in sent if request.method == "DELETE" or "graphql" in request.path]
    assert not [request for request in sent if "receive-pack" in request.path]
    assert moat.run_named("reader")["grants"] == ["github:ro"]
    refused = [
        e["data"]["operation"] for e in moat.entries("reader") if e["data"].get("rule") == "grant-scope"
    ]
    assert refused == [
        "POST https://api.github.com/graphql",
        "DELETE https://api.github.com/repos/octo/repo",
        "GET https://github.com/octo/repo.git/info/refs?service=git-receive-pack",
    ]
    # what it asks for next is more, and nobody is there to be asked
    (workspace / "agent.yaml").write_text("grants: [github]\n")
    done = moat("--no-ui", "run", *github.flags(), workspace, "--", "true", check=False)
    assert (done.returncode, b"grant github" in done.stderr) == (125, True)


OWN = """
hubby:
  title: Hubby
  shares: [github]
  hosts: [{pattern: api.github.com, header: Authorization, format: "Bearer {token}"}]
  env: {HUBBY_TOKEN: hubby-moat-proxy-injected}
  sources: [{env: MY_HUBBY}]
  limits: {max_requests: 1}
"""


def test_a_provider_of_ones_own_is_granted_and_used_as_the_built_in_ones(moat, workspace, github):
    providers = moat.home / "providers"
    moat.home.mkdir(mode=0o700)
    providers.mkdir(mode=0o700)
    (providers / "hubby.yaml").write_text(OWN)
    os.chmod(providers / "hubby.yaml", 0o600)
    (providers / "bad.yaml").write_text("bad:\n  title: Bad\n")
    os.chmod(providers / "bad.yaml", 0o600)
    done = moat("grant", "providers")
    assert "hubby" in done.stdout.decode()
    assert "bad.yaml:1: 'bad': Object missing required field `hosts`" in done.stderr.decode()
    assert moat("grant", "hubby", check=False, MY_HUBBY=CANARY).returncode == 0
    script = (
        'echo "$HUBBY_TOKEN"; for i in 1 2; do '
        'curl -s -H "Authorization: Bearer $HUBBY_TOKEN" https://api.github.com/user; echo; done'
    )
    done = moat(
        "--no-ui", "run", "-n", "own", "-g", "hubby", *github.flags(), workspace, "--no-sandbox", "--",
        "sh", "-c", script,
    )  # fmt: skip
    out = done.stdout.decode()
    assert out.startswith("hubby-moat-proxy-injected\n")
    assert "octocat" in out
    assert "given for 1 request (max_requests)" in out
    assert moat.files_with(CANARY) == []
    done = moat("--no-ui", "run", "-g", "bad", workspace, "--", "true", check=False)
    assert (done.returncode, b"bad.yaml:1" in done.stderr) == (125, True)
