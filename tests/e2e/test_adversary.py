"""Against the real thing: an agent that wants out, a prepared workspace, a supervisor that is shot."""

from __future__ import annotations

import json
import random
import shutil
import socket
import time
from pathlib import Path

import pytest
from e2e.conftest import CANARY, kill, wait_until

INTRUDER = Path(__file__).with_name("intruder.py")
SANDBOXES = [
    pytest.param(("--no-sandbox",), id="standard", marks=pytest.mark.docker),
    pytest.param((), id="gvisor", marks=pytest.mark.gvisor),
    pytest.param(("--runtime", "bubblewrap"), id="bubblewrap", marks=pytest.mark.bubblewrap),
]


def own_address() -> str:
    """This machine's own, as its neighbours know it; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))
        return probe.getsockname()[0]


@pytest.mark.parametrize("policy", ["strict", "permissive"])
@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_threat_19_22_24_an_agent_that_wants_out_stays_in(moat, workspace, sandbox, policy):
    shutil.copy(INTRUDER, workspace)
    with socket.create_server(("0.0.0.0", 0)) as service:
        done = moat(
            "run", workspace, "--name", "intruder", "--policy", policy, *sandbox,
            "-e", f"HOST_ADDRESS={own_address()}", "-e", f"POLICY={policy}",
            "-e", f"HOST_SERVICE={service.getsockname()[1]}",
            "--", "python3", "/workspace/intruder.py",
        )  # fmt: skip
    out = json.loads(done.stdout)
    asked = {name: rule for name, rule in out.items() if name.startswith("proxy to ")}
    expected = {"ip-literal", "not-allowed"} if policy == "strict" else {"private-address"}
    assert set(asked.values()) <= expected, asked
    assert len(asked) == 11
    others = {name: said for name, said in out.items() if name not in asked}
    assert [name for name, said in others.items() if not said.startswith("refused: ")] == [], others
    assert len(others) == (12 + 2 * 14 if policy == "strict" else 10)
    assert moat.json("audit", "intruder")["valid"] is True


@pytest.mark.docker
def test_threat_39_a_prepared_workspace_shows_nothing_of_the_hosts(moat, workspace, tmp_path):
    """What an agent left behind: a link under agent.yaml's name, one into Moat's home as a mount."""
    moat.grant()
    key = (moat.home / "encryption.key").read_text()
    config = workspace / "agent.yaml"
    config.symlink_to(moat.home / "encryption.key")
    done = moat("run", workspace, "--", "true", check=False)
    assert done.returncode == 125
    assert b"symbolic link" in done.stderr
    assert key[:12].encode() not in done.stderr + done.stdout
    config.unlink()
    (workspace / "data").symlink_to(moat.home / "credentials")
    config.write_text("mounts: ['./data:/data', '/proc/self/root:/host']\n")
    for place in (workspace, tmp_path, moat.home):
        done = moat("run", place, "--", "true", check=False)
        assert done.returncode in (2, 125)
        assert b"cannot be given to an agent" in done.stderr
    assert moat.runs() == []


@pytest.mark.docker
def test_threat_37_38_no_request_left_unrecorded_when_the_supervisor_is_shot(moat, workspace, github):
    """At random moments, with four clients at work: what arrived with the credential is in the audit log."""
    moat.grant()
    moments = random.Random(37)
    (workspace / "work.sh").write_text(
        "for w in 1 2 3 4; do\n"
        "  (while curl -so /dev/null https://api.github.com/status/200; do :; done) &\n"
        "done\nwait\n"
    )
    for number in range(2):
        name = f"shot{number}"
        before = len(github.upstream.requests)
        process = moat.start(
            "run", workspace, "--name", name, "--no-sandbox", "-g", "github", "--policy", "strict",
            *github.flags(), "--", "sh", "/workspace/work.sh",
        )  # fmt: skip
        wait_until(lambda before=before: len(github.upstream.requests) > before + 5)
        time.sleep(moments.random() / 2)  # not to wait for something: the moment is meant to be any
        kill(process.pid)
        process.communicate(timeout=30)
        moat("list")  # reaps
        arrived = github.upstream.requests[before:]
        assert [request.all("authorization") for request in arrived] == [[f"Bearer {CANARY}"]] * len(arrived)
        entries = moat.entries(name)
        intents = [e for e in entries if e["type"] == "credential" and e["data"]["action"] == "inject"]
        assert len(intents) >= len(arrived) > 5
        assert moat.json("audit", name)["valid"] is True
        assert moat.run_named(name)["state"] == "interrupted"
    assert moat.files_with(CANARY) == []
