"""The command line with sandboxes that need no engine: how runs go, end and are refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from e2e.conftest import kill, wait_until
from e2e.test_life import RINGER
from support.sshd import Agent, Sshd

from engine.runtimes.bubblewrap.processes import marked

pytestmark = pytest.mark.bubblewrap
BUBBLEWRAP = ("--runtime", "bubblewrap")


def processes(run: dict) -> list[int]:
    return marked(f"MOAT_RUN_ID={run['id']}".encode())


def test_output_is_byte_for_byte_and_the_exit_code_the_agents(moat, workspace):
    script = (
        "import sys,os\nfor i in range(256): os.write(1, bytes([i])*400); os.write(2, bytes([255-i])*300)\n"
        "sys.exit(42)"
    )
    done = moat("run", workspace, *BUBBLEWRAP, "--", "python3", "-c", script, check=False)
    assert done.returncode == 42
    assert done.stdout == b"".join(bytes([i]) * 400 for i in range(256))
    agent = b"".join(bytes([255 - i]) * 300 for i in range(256))
    moats = b"".join(line for line in done.stderr.splitlines(keepends=True) if line.startswith(b"moat: "))
    assert done.stderr.replace(moats, b"") == agent


def test_the_hook_pre_run_comes_first_and_the_command_is_as_without_it(moat, workspace):
    file = workspace / "agent.yaml"
    file.write_text("hooks:\n  pre_run: |\n    echo hook $(pwd) $HTTP_PROXY | cut -c-30; cat\n")
    words = ("sh", "-c", "printf '[%s]' \"$@\"; cat", "sh", "$x", "a  b", "", "'")
    done = moat("run", workspace, "-i", *BUBBLEWRAP, "--", *words, given=b"typed")
    first, rest = done.stdout.split(b"\n", 1)
    assert first.startswith(b"hook /workspace http://moat:")
    assert rest == b"[$x][a  b][][']typed"
    file.write_text("hooks: {pre_run: exit 9}\n")
    failed = moat("run", workspace, "--accept-config", *BUBBLEWRAP, "--", "echo", "no", check=False)
    assert (failed.returncode, failed.stdout) == (9, b"")
    assert b"moat: the hook pre_run failed with exit code 9\n" in failed.stderr


def test_an_interactive_run_reads_what_is_piped_in(moat, workspace):
    sent = os.urandom(300_000)
    assert moat("run", workspace, "-i", *BUBBLEWRAP, "--", "cat", given=sent).stdout == sent


def test_threat_38_kill_9_of_the_supervisor_ends_the_sandbox_and_the_next_command_closes_the_run(
    moat, workspace, github
):
    moat.grant()
    moat(
        "run", workspace, "-d", "--name", "doomed", *BUBBLEWRAP, "-g", "github", "--policy", "strict",
        *github.flags(), "--", "sh", "-c", RINGER,
    )  # fmt: skip
    rings = workspace / "rings"
    wait_until(lambda: rings.exists() and " 200" in rings.read_text())
    run = moat.run_named("doomed")
    assert processes(run)
    kill(run["supervisor_pid"])
    wait_until(lambda: not processes(run))
    assert moat.run_named("doomed")["state"] == "interrupted"  # `list` is the next command
    assert moat.json("audit", "doomed")["valid"]
    last = moat.entries("doomed")[-1]
    assert (last["type"], last["data"]["action"]) == ("container", "interrupted")


def test_sigint_asks_the_agent_and_a_second_one_kills_it(moat, workspace):
    script = "trap 'echo no' TERM; echo up; while :; do sleep 0.05; done"
    process = moat.start("run", workspace, "--name", "stubborn", *BUBBLEWRAP, "--", "sh", "-c", script)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"no\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=9)  # well before the ten seconds of grace
    assert process.returncode == 137
    run = moat.run_named("stubborn")
    assert run["state"] == "stopped"
    assert processes(run) == []


def test_threat_23_24_40_runs_are_strangers_to_one_another_and_to_this_machine(moat, workspace, tmp_path):
    """Same workspace, same ports: each sees its own loopback; Moat's own files and sockets are not there."""
    moat("run", workspace, "-d", "-n", "a", *BUBBLEWRAP, "--", "sh", "-c", "echo $HTTP_PROXY; exec sleep 600")
    url = wait_until(lambda: moat("logs", "a").stdout.decode().strip())
    port = url.rpartition(":")[2]
    other = moat(
        "run", workspace, "-n", "b", *BUBBLEWRAP, "--", "sh", "-c",
        f"curl -s -m 5 -o /dev/null -w '%{{http_code}}' -x {url} http://example.test/; echo $?;"
        f" find / -xdev -type s 2>/dev/null; ls {moat.home} /proc/[0-9]*/root 2>&1 | grep -c secret || true",
    ).stdout.decode().split()  # fmt: skip
    # Its own proxy may have the same port: then it asks for its own token.
    assert other[0] in ("0007", "4070")
    assert other[1:] == ["0"]
    stranger = subprocess.run(
        ["curl", "-s", "-m", "5", "-o", "/dev/null", "-x", f"http://127.0.0.1:{port}", "http://a.test/"],
        check=False,
        timeout=30,
    )
    assert stranger.returncode == 7  # nobody listens there
    moat("stop", "a")


@pytest.mark.sshd
def test_the_ssh_agent_of_a_grant_is_there(moat, workspace, tmp_path):
    agent = Agent(tmp_path / "a")
    server = Sshd(tmp_path / "granted", agent.public)
    try:
        home = tmp_path / "person"
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh" / "known_hosts").write_text(server.known_hosts_line("git.test"))
        moat.env |= {"HOME": str(home), **agent.env}
        moat("grant", "ssh", "--host", f"git.test:{server.port}")
        done = moat("run", workspace, *BUBBLEWRAP, "-g", "ssh:git.test", "--", "sh", "-c",
                    "ssh-add -L; cat /etc/ssh/ssh_known_hosts")  # fmt: skip
        assert agent.public.read_text().split()[1] in done.stdout.decode()
        assert "git.test" in done.stdout.decode()
    finally:
        server.close()
        agent.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--image", "debian:bookworm-slim"), b"no images"),
        (("--keep",), b"--keep"),
        (("--sandbox",), b"gVisor is a sandbox of Docker's"),
        (("--rootfs", "/etc"), b"no usr and no bin"),
        (("--rootfs", "/"), b"the whole file system"),
    ],
)
def test_what_needs_an_engine_is_refused_with_what_to_do(moat, workspace, words, said):
    done = moat("run", workspace, *BUBBLEWRAP, *words, "--", "true", check=False)
    assert done.returncode in (2, 125)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 4


def test_without_docker_nothing_else_is_chosen_and_both_remedies_are_named(moat, workspace):
    moat.env |= {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    chosen = subprocess.run(
        [sys.executable, "-P", "-m", "moat_tui", "run", str(workspace), "--", "echo", "hi"],
        env=moat.env | {"MOAT_RUNTIME": "bubblewrap"}, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert chosen.stdout == b"hi\n"
    moat("clean")
    done = moat("run", workspace, "--", "true", check=False)
    assert done.returncode == 125
    assert b"let DOCKER_HOST name one that runs" in done.stderr
    assert b"--runtime bubblewrap" in done.stderr
