"""A live run, a credential that the service refuses, and a person who grants it again."""

from __future__ import annotations

import pytest
from e2e.conftest import CANARY, wait_until

pytestmark = pytest.mark.docker

UNTIL_TAKEN = """
until curl -s https://api.github.com/user | grep octocat; do sleep 0.2; done
"""


def test_a_live_run_uses_what_is_granted_again(moat, workspace, github):
    moat.grant("ghp_expiredCanary0123456789")
    moat(
        "run", "-d", "-n", "long", "-g", "github", *github.flags(), workspace, "--no-sandbox", "--",
        "sh", "-c", UNTIL_TAKEN,
    )  # fmt: skip
    wait_until(lambda: moat.json("grant", "show", "github")["state"] == "refused")
    assert "replace it: moat grant github" in moat("grant", "list").stdout.decode()
    (record, *_) = moat.requests("long")
    assert record["error"] == "the service refused the credential of grant github"
    moat.grant()
    wait_until(lambda: moat.run_named("long")["state"] == "exited")
    assert moat.json("grant", "show", "github")["state"] == "valid"
    actions = [e["data"]["action"] for e in moat.entries("long") if e["type"] == "credential"]
    assert "renew" in actions
    assert moat.files_with(CANARY) == []
