"""Secrets on the real thing: resolved on the host, in the container's environment, in none of our files."""

from __future__ import annotations

import json

import pytest
from e2e.conftest import docker

from engine.runtimes import HOME_LABEL, home_label

pytestmark = pytest.mark.docker
VALUE = "swordfish-4711-never-written-down"


@pytest.fixture
def op(tmp_path):
    """A PATH whose `op` knows one item."""
    tools = tmp_path / "tools"
    tools.mkdir()
    file = tools / "op"
    file.write_text(
        '#!/bin/sh\ncase "$3" in op://Work/db/password) printf %s ' + VALUE + ";;\n"
        '*) echo "[ERROR] \\"$3\\" isn\'t an item" >&2; exit 1;; esac\n'
    )
    file.chmod(0o755)
    return f"{tools}:/usr/bin:/bin"


def test_a_secret_is_in_the_container_and_nowhere_else(moat, workspace, op):
    (workspace / "agent.yaml").write_text("secrets:\n  DB_PASSWORD: op://Work/db/password\n")
    command = 'echo "plain $DB_PASSWORD, token $TOKEN"; printf %s "$DB_PASSWORD" | base64'
    done = moat(
        "--no-ui", "run", "-n", "safe", "--secret", "TOKEN=env://MY_TOKEN", workspace, "--no-sandbox", "--",
        "sh", "-c", command, PATH=op, MY_TOKEN="abc",
    )  # fmt: skip
    assert done.stdout.decode().startswith(f"plain {VALUE}, token abc\n")  # the agent's own output is its own
    said = done.stderr.decode()
    assert "secret op://Work/db/password as DB_PASSWORD" in said  # agent.yaml asked, on a first run
    assert "too short to be blotted out of logs: TOKEN" in said
    assert VALUE not in said
    logs = moat("logs", "safe").stdout.decode()
    assert VALUE not in logs
    assert "plain [REDACTED], token abc" in logs
    secrets = [entry["data"] for entry in moat.entries("safe") if entry["type"] == "secret"]
    assert secrets == [{"name": "DB_PASSWORD", "backend": "op"}, {"name": "TOKEN", "backend": "env"}]
    assert moat.files_with(VALUE) == []
    assert json.loads(moat("audit", "safe", "--json").stdout)["valid"] is True


def test_one_that_cannot_be_read_stops_the_run_before_it_exists(moat, workspace, op):
    done = moat(
        "--no-ui", "run", "--secret", "A=op://Work/db/password", "--secret", "B=op://Work/none/x", workspace,
        "--", "true", check=False, PATH=op,
    )  # fmt: skip
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 125
    assert "op://Work/none/x" in lines[0]
    assert "isn't an item" in lines[1]
    assert VALUE not in done.stderr.decode()
    assert moat.runs() == []
    # Of this home alone: other tests start containers meanwhile.
    assert docker("ps", "-aq", "--filter", f"label={HOME_LABEL}={home_label(moat.home)}") == ""


def test_a_widened_agent_yaml_gets_no_secret_unasked(moat, workspace, op):
    moat("--no-ui", "run", workspace, "--no-sandbox", "--", "true")
    (workspace / "agent.yaml").write_text("secrets:\n  KEY: env://MY_TOKEN\n")
    done = moat("--no-ui", "run", workspace, "--", "env", check=False, MY_TOKEN=VALUE, PATH=op)
    assert done.returncode == 125
    assert "secret env://MY_TOKEN as KEY" in done.stderr.decode()
    assert VALUE not in (done.stdout + done.stderr).decode()
