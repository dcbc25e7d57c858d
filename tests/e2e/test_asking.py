"""The policy `ask` on the real thing: refused with nobody there, held, answered by hand, timed out."""

from __future__ import annotations

import json
import signal

import pytest
from e2e.conftest import wait_until

ASK = """
cd /workspace
ask() { curl -sS -o $1.body -w '%{http_code}' "$2" > code; mv code $1.code; }
ask alone https://api.github.com/alone
while [ ! -e go ]; do sleep 0.1; done
ask held https://api.github.com/held
ask late https://github.com/late
curl -sS --noproxy '*' --max-time 2 http://172.17.0.1/ > direct.body 2>&1; echo $? > direct.code
getent hosts github.com > name.body; echo $? > name.code
getent hosts host.docker.internal > gateway.body; echo $? > gateway.code
"""


@pytest.mark.docker
def test_a_request_waits_for_a_person(moat, github, workspace):
    moat.home.mkdir(mode=0o700)
    (moat.home / "config.yaml").write_text("network:\n  approval_timeout: 5\n")
    run = moat(
        "run", workspace, "-d", "--name", "asking", "--policy", "ask", "--no-sandbox", *github.flags(),
        "--", "sh", "-c", ASK,
    )  # fmt: skip
    run_id = run.stdout.decode().strip()

    def said(name):
        return (workspace / f"{name}.code").read_text().strip(), (workspace / f"{name}.body").read_text()

    wait_until((workspace / "alone.code").exists)
    assert said("alone")[0] == "403"
    assert "nobody is there to be asked" in said("alone")[1]
    assert github.seen("/alone") == []

    watching = moat.start("approvals", "--watch", "--json")
    try:
        assert b"watching" in watching.stderr.readline()
        (workspace / "go").touch()
        shown = json.loads(watching.stdout.readline())
        assert (shown["run"], shown["host"], shown["port"]) == ("asking", "api.github.com", 443)
        assert (shown["method"], shown["path"]) == ("GET", "/held")
        assert github.seen("/held") == []
        (listed,) = map(json.loads, moat("approvals", "asking", "--json").stdout.splitlines())
        assert listed["id"] == shown["id"]
        answered = moat("approve", "asking", shown["id"], "--run")
        assert b"GET https://api.github.com:443/held" in answered.stdout
        wait_until(lambda: moat.run_named("asking")["state"] == "exited")
    finally:
        watching.send_signal(signal.SIGINT)
        _, complained = watching.communicate(timeout=20)
    assert b"Traceback" not in complained

    assert len(github.seen("/held")) == 1
    assert said("held")[0] == "200"
    assert said("late")[0] == "403"
    assert "Nobody answered within 5 seconds" in said("late")[1]
    assert github.seen("/late") == []
    assert said("direct")[0] != "0"
    # No name leaves the machine: each is the run's own gateway, where the proxy judges what comes.
    assert said("name")[1].split()[0] == said("gateway")[1].split()[0]
    assert not (moat.home / "runs" / run_id / "approvals.json").exists()

    decided = [
        (entry["data"]["decision"], entry["data"]["rule"], entry["data"]["operation"])
        for entry in moat.entries("asking")
        if entry["type"] == "policy" and entry["data"]["scope"] == "network"
    ]
    assert decided == [
        ("deny", "approval-headless", "GET https://api.github.com/alone"),
        ("allow", "approval-run", "GET https://api.github.com/held"),
        ("deny", "approval-timeout", "GET https://github.com/late"),
    ]
    moat("audit", "asking")
