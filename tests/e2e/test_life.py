"""Starting, stopping and dying: a run ends whole, whoever ends it."""

from __future__ import annotations

import os
import signal
import socket

import pytest
from e2e.conftest import CANARY, docker, kill, wait_until

pytestmark = pytest.mark.docker

# Rings the upstream for ever, noting each answer's status in the workspace.
RINGER = """
n=0; while :; do n=$((n+1))
code=$(curl -s -o /dev/null -m 2 -w '%{http_code}' https://api.github.com/user)
echo "$n $code" >> /workspace/rings; sleep 0.1; done
"""

# Tells its own proxy's address; when another's is put into `go`, tries that one.
THIEF = """
echo $HTTP_PROXY > url; while [ ! -e go ]; do sleep 0.05; done
curl -s -m 3 -o /dev/null -w '%{http_code}' -x "$(cat go)" http://example.test/ > answer; echo $? > code
"""


def test_stdout_and_stderr_pass_byte_for_byte_and_unmixed(moat, workspace):
    script = (
        "import sys,os\nfor i in range(256): os.write(1, bytes([i])*400); os.write(2, bytes([255-i])*300)"
    )
    done = moat("run", workspace, "--no-sandbox", "--", "python3", "-c", script)
    assert done.stdout == b"".join(bytes([i]) * 400 for i in range(256))
    agent = b"".join(bytes([255 - i]) * 300 for i in range(256))
    moats = b"".join(line for line in done.stderr.splitlines(keepends=True) if line.startswith(b"moat: "))
    assert done.stderr.replace(moats, b"") == agent


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137)])
def test_the_exit_code_is_the_agents(moat, workspace, command, code):
    assert moat("run", workspace, "--no-sandbox", "--", "sh", "-c", command, check=False).returncode == code


@pytest.mark.parametrize(
    "sandbox",
    [pytest.param(["--no-sandbox"], id="standard"), pytest.param([], marks=pytest.mark.gvisor, id="gvisor")],
)
def test_events_arrive_one_by_one_as_they_are_sent(moat, workspace, github, sandbox):
    moat.grant()
    agent = moat.start(
        "run", workspace, *sandbox, "-g", "github", *github.flags(),
        "--", "curl", "-sSN", "https://api.github.com/sse?n=3",
    )  # fmt: skip
    try:
        for number in range(3):
            github.permit()
            # The next event is not sent before this one was read here: nothing on the way may hold it back.
            assert agent.stdout.readline() == f"data: event {number}\n".encode()
            assert agent.stdout.readline() == b"\n"
        assert agent.wait(30) == 0
    finally:
        agent.kill()
        agent.communicate()


def test_threat_38_kill_9_of_the_supervisor_fails_closed_and_the_next_command_reaps(moat, workspace, github):
    moat.grant()
    moat(
        "run", workspace, "-d", "--name", "doomed", "--no-sandbox", "-g", "github", "--policy", "strict",
        *github.flags(), "--", "sh", "-c", RINGER,
    )  # fmt: skip
    rings = workspace / "rings"
    wait_until(lambda: rings.exists() and " 200" in rings.read_text())
    run = moat.run_named("doomed")

    kill(run["supervisor_pid"])
    before = len(rings.read_text().splitlines())
    wait_until(lambda: len(rings.read_text().splitlines()) > before + 2)
    assert {line.split()[1] for line in rings.read_text().splitlines()[before + 1 :]} == {"000"}

    assert moat.run_named("doomed")["state"] == "interrupted"  # `list` is the next command
    assert docker("ps", "-aq", "--filter", f"label=moat.run={run['id']}") == ""
    assert docker("network", "ls", "-q", "--filter", f"label=moat.run={run['id']}") == ""
    verdict = moat.json("audit", "doomed")
    assert verdict["valid"]
    last = moat.entries("doomed")[-1]
    assert (last["type"], last["data"]["action"]) == ("container", "interrupted")


def test_one_installation_never_reaps_anothers_runs(moat, workspace, tmp_path):
    from e2e.conftest import Moat

    moat("run", workspace, "-d", "--name", "mine", "--no-sandbox", "--", "sleep", "60")
    other = Moat(tmp_path / "other-home")
    other("clean")
    other("list")
    assert moat.run_named("mine")["state"] == "running"
    moat("stop", "--kill", "mine")


def test_sigint_stops_the_agent_and_leaves_nothing(moat, workspace):
    script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    process = moat.start("run", workspace, "--name", "asked", "--no-sandbox", "--", "sh", "-c", script)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert out == b"bye\n"
    assert process.returncode == 5
    assert moat.run_named("asked")["state"] == "stopped"
    assert docker("ps", "-aq", "--filter", f"label=moat.run={moat.run_named('asked')['id']}") == ""


def test_a_second_sigint_kills_an_agent_that_will_not_go(moat, workspace):
    script = "trap 'echo no' TERM; echo up; while :; do sleep 0.05; done"
    process = moat.start("run", workspace, "--name", "stubborn", "--no-sandbox", "--", "sh", "-c", script)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"no\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=9)  # well before the ten seconds of grace
    assert process.returncode == 137


def test_stop_and_destroy_a_detached_run(moat, workspace):
    moat("run", workspace, "-d", "--name", "aside", "--no-sandbox", "--", "sh", "-c", "echo hi; sleep 60")
    run = moat.run_named("aside")
    assert run["state"] == "running"
    refused = moat("destroy", "-y", "aside", check=False)
    assert refused.returncode == 125
    assert b"moat stop" in refused.stderr
    moat("stop", "aside")
    assert moat.run_named("aside")["state"] == "stopped"
    assert b"hi" in moat("logs", "aside").stdout
    moat("destroy", "-y", "aside")
    assert moat.runs() == []
    assert not (moat.home / "runs" / run["id"]).exists()


STRANGER = """
cd /workspace
place=${HTTP_PROXY##*@}
for user in "" moat:wrong@; do
  curl -so /dev/null -w '%{http_connect}\\n' -x "http://$user$place" https://api.github.com/ >> codes
done
echo "$HTTP_PROXY $(getent hosts host.docker.internal)" > url
sleep 60
"""


def test_threat_23_without_the_token_407_and_a_stranger_on_the_host_finds_nothing(moat, workspace):
    moat(
        "run", workspace, "-d", "--name", "b", "--no-sandbox", "--policy", "strict",
        "--", "sh", "-c", STRANGER,
    )  # fmt: skip
    url = workspace / "url"
    wait_until(lambda: url.exists() and url.read_text().strip())
    proxy, address, _ = url.read_text().split()
    token, _, place = proxy.removeprefix("http://moat:").rpartition("@")
    assert len(token) >= 43  # 32 bytes
    assert (workspace / "codes").read_text().split() == ["407", "407"]

    network = moat.run_named("b")["network"]
    gateway = docker("network", "inspect", network, "-f", "{{(index .IPAM.Config 0).Gateway}}").strip()
    for there in (address, gateway):
        with pytest.raises(OSError, match=r"refused|unreachable|timed out|No route"):
            socket.create_connection((there, int(place.partition(":")[2])), 2)
    moat("stop", "--kill", "b")


def test_threat_23_a_container_cannot_reach_another_runs_proxy(moat, workspace):
    for name in ("a", "b"):
        (workspace / name).mkdir()
        moat(
            "run", workspace / name, "-d", "--name", name, "--no-sandbox", "--policy", "strict",
            "--", "sh", "-c", THIEF,
        )  # fmt: skip
    url = workspace / "b" / "url"
    wait_until(lambda: url.exists() and url.read_text().strip())
    network = moat.run_named("b")["network"]
    gateway = docker("network", "inspect", network, "-f", "{{(index .IPAM.Config 0).Gateway}}").strip()
    stolen = url.read_text().strip().replace("host.docker.internal", gateway)
    (workspace / "a" / "go.tmp").write_text(stolen)
    os.rename(workspace / "a" / "go.tmp", workspace / "a" / "go")
    code = workspace / "a" / "code"
    wait_until(lambda: code.exists() and code.read_text().strip())
    assert code.read_text().strip() != "0"
    assert (workspace / "a" / "answer").read_text() in ("", "000")
    moat("stop", "--kill", "b")


def test_threat_40_two_runs_of_one_name_each_have_their_own_way(moat, github, tmp_path):
    moat.grant()
    ids = []
    for who in ("a", "b"):
        (tmp_path / who).mkdir()
        script = (
            f"for i in 1 2 3; do curl -sS https://api.github.com/user?{who}=$i; done; [ -e go ] || sleep 1000"
        )
        started = moat(
            "run", tmp_path / who, "-d", "--name", "twin", "-g", "github", "--no-sandbox", *github.flags(),
            "--", "sh", "-c", script,
        )  # fmt: skip
        ids.append(started.stdout.decode().strip())
    for run, who in zip(ids, ("a", "b"), strict=True):
        wait_until(lambda run=run: len(moat.requests(run)) == 3)
        urls = [request["url"] for request in moat.requests(run)]
        assert urls == [f"https://api.github.com/user?{who}={number}" for number in (1, 2, 3)]
    moat("stop", "--kill", ids[0])
    states = {run["id"]: run["state"] for run in moat.runs()}
    assert (states[ids[0]], states[ids[1]]) == ("stopped", "running")
    moat("stop", "--kill", ids[1])


def test_threat_39_a_wider_agent_yaml_is_refused_headless_until_accepted(moat, workspace):
    moat.grant()
    config = workspace / "agent.yaml"
    config.write_text("command: [cat, /workspace/agent.yaml]\nsandbox: false\n")
    moat("run", workspace)
    config.write_text("command: ['true']\nsandbox: false\ngrants: [github]\n")  # as an agent would
    refused = moat("run", workspace, check=False)
    assert refused.returncode == 125
    assert b"grant github" in refused.stderr
    assert b"--accept-config" in refused.stderr
    moat("run", workspace, "--accept-config")
    moat("run", workspace)


def test_read_only_workspace_and_extra_mounts(moat, workspace, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "f").write_text("shared")
    done = moat(
        "run", workspace, "--no-sandbox", "-m", f"{data}:/data:ro", "--",
        "sh", "-c", "cat /data/f; touch /data/x || echo ro; touch /workspace/y",
    )  # fmt: skip
    assert done.stdout == b"sharedro\n"
    assert (workspace / "y").exists()
    assert CANARY not in done.stderr.decode()


def test_the_workspace_itself_can_be_read_only(moat, workspace):
    (workspace / "agent.yaml").write_text('mounts: [".:/workspace:ro"]\n')
    (workspace / "f").write_text("here")
    done = moat("run", workspace, "--no-sandbox", "--", "sh", "-c", "cat f; touch /workspace/x || echo ro")
    assert done.stdout == b"herero\n"
    assert not (workspace / "x").exists()


def test_an_interactive_run_reads_what_is_piped_in(moat, workspace):
    done = moat("run", workspace, "--no-sandbox", "-i", "--", "tr", "a-z", "A-Z", given=b"hello\n")
    assert done.stdout == b"HELLO\n"
