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
from support.outside import Outside

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


# What an agent gains of a kernel that is not this machine's: gVisor's own.
_GVISORS = {
    "a user namespace", "a user and a network namespace", "a cgroup namespace", "clone3", "the kernel's log",
    "the kernel's settings", "a control group of its own",
}  # fmt: skip
# Process one is the container's own init; io_uring goes nowhere that other calls do not, and engines from 25
# on deny it.
_RUNCS = {"the memory of process one", "io_uring"}
GAINED = {"standard": _RUNCS, "gvisor": _GVISORS, "bubblewrap": set()}
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP


@pytest.mark.parametrize("policy", ["strict", "permissive"])
@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_threat_16_17_19_22_24_an_agent_that_wants_out_stays_in(
    moat, workspace, tmp_path, request, sandbox, policy
):
    runtime = request.node.callspec.id.partition("-")[0]
    shutil.copy(INTRUDER, workspace)
    shutil.copy(INTRUDER.with_name("escapes.py"), workspace)
    with Outside(tmp_path) as outside:
        told = {"POLICY": policy, **outside.told(own_address())}
        done = moat(
            "run", workspace, "--name", "intruder", "--policy", policy, *sandbox,
            *(word for name, value in told.items() for word in ("-e", f"{name}={value}")),
            "--", "python3", "/workspace/intruder.py",
        )  # fmt: skip
        heard, left = outside.heard(), outside.left()
    out = json.loads(done.stdout)
    assert str(workspace) not in Path("/proc/self/mountinfo").read_text()

    asked = out.pop("proxy")
    expected = {"ip-literal", "not-allowed"} if policy == "strict" else {"private-address"}
    assert set(asked.values()) <= expected, asked
    outwards = out.pop("outwards")
    closed = policy == "strict" or runtime == "bubblewrap"
    if closed:
        assert (heard, left or set()) == ([], set())
        assert outwards["TCP"].startswith("refused: ")
    else:  # else this test could not see what it looks for
        assert {"direct", "broadcast to 255.255.255.255"} <= set(heard)
        assert left is None or {TCP, UDP} <= left
    gained = {
        name: said
        for group in out.values()
        for name, said in group.items()
        if not said.startswith("refused: ") and name not in GAINED[runtime]
    }
    assert gained == {}
    tried = {group: len(attempts) for group, attempts in (*out.items(), ("proxy", asked), ("out", outwards))}
    services = 2 + 2 * 14 if policy == "strict" else 0
    assert tried == {"others": 6 + services, "kernel": 35, "network": 13, "proxy": 17, "out": 14}
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
