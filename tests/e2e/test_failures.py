"""What goes wrong around a run: full disks, readers that leave or stall, closed terminals, dead parents."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from e2e.conftest import CANARY, docker, wait_until

pytestmark = pytest.mark.docker

# Calls the upstream once for each line it is given through a file, and notes each answer's status.
CALLER = """
n=0; while :; do
while [ ! -e "/workspace/go$n" ]; do sleep 0.05; done
curl -s -o /dev/null -m 20 -w '%{http_code}\\n' https://api.github.com/user >> /workspace/codes
n=$((n+1)); done
"""


@pytest.fixture
def start(moat):
    """moat.start, and no process or pipe outlives a test that failed."""
    started = []

    def begin(*args, **more):
        started.append(moat.start(*args, **more))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait(10)
        process.stdout.close()
        process.stderr.close()


def gone(run_id: str) -> bool:
    return not docker("ps", "-aq", "--filter", f"label=moat.run={run_id}") and not docker(
        "network", "ls", "-q", "--filter", f"label=moat.run={run_id}"
    )


@pytest.mark.skipif(os.geteuid() != 0 and not os.environ.get("CI"), reason="mounting a small disk needs root")
def test_threat_37_a_disk_that_fills_in_the_middle_lets_no_credential_out(
    moat, workspace, github, tmp_path, start
):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", disk], check=True)
    try:
        moat.home = disk / "home"
        moat.env["MOAT_HOME"] = str(moat.home)
        moat.grant()
        process = start(
            "run", workspace, "--name", "filled", "--no-sandbox", "-g", "github", *github.flags(),
            "--", "sh", "-c", CALLER,
        )  # fmt: skip
        codes = workspace / "codes"
        (workspace / "go0").touch()
        wait_until(lambda: codes.exists() and codes.read_text() == "200\n")
        seen = len(github.seen("/user"))

        with open(disk / "filler", "wb", buffering=0) as filler:
            try:
                while filler.write(b"\0" * 4096):
                    pass
            except OSError:
                pass
        (workspace / "go1").touch()
        wait_until(lambda: codes.read_text().count("\n") == 2)
        assert codes.read_text().split() == ["200", "503"]
        assert len(github.seen("/user")) == seen  # nothing left the machine

        (disk / "filler").unlink()  # space again: the gate stays closed, what was lost cannot be told
        (workspace / "go2").touch()
        wait_until(lambda: codes.read_text().count("\n") == 3)
        assert codes.read_text().split()[2] == "503"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert said.count(b"no credential is used from now on") == 1
        assert b"Traceback" not in said
        run = moat.run_named("filled")
        assert run["state"] == "stopped"
        assert gone(run["id"])
        assert CANARY not in said.decode()
        used = [entry for entry in moat.entries("filled") if entry["type"] == "credential"]
        assert len(used) == 1  # what was acknowledged is there, and nothing else
    finally:
        moat.close()
        subprocess.run(["umount", "-l", disk], check=True)


def test_every_byte_of_a_long_output_arrives(moat, workspace):
    command = moat.command(
        "run", workspace, "--no-sandbox", "--", "sh", "-c", "yes 123456789 | head -c 5000000"
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=moat.env)
    # Nothing is read until the agent has printed and gone; then Docker holds a part, and Moat the rest.
    counted = subprocess.run(["wc", "-c"], stdin=process.stdout, capture_output=True, timeout=100, check=True)
    process.communicate(timeout=30)
    assert counted.stdout.strip() == b"5000000"
    assert process.returncode == 0


def test_a_reader_that_leaves_ends_the_run(moat, workspace, start):
    process = start("run", workspace, "--name", "left", "--no-sandbox", "--", "yes")
    assert process.stdout.read(2) == b"y\n"
    process.stdout.close()
    process.wait(40)
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    run = moat.run_named("left")
    assert run["state"] == "stopped"
    assert gone(run["id"])


def test_a_reader_that_stalls_cannot_hold_a_run_that_is_killed(moat, workspace, start):
    process = start("run", workspace, "--name", "stalled", "--no-sandbox", "--", "yes")
    assert process.stdout.read(2) == b"y\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    wait_until(lambda: moat.run_named("stalled")["state"] in ("stopping", "stopped"))
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert time.monotonic() - begun < 20
    assert gone(moat.run_named("stalled")["id"])
    process.stdout.close()
    process.stderr.close()


def test_a_closed_terminal_stops_an_attached_run(moat, workspace, start):
    process = start("run", workspace, "--name", "hung", "--no-sandbox", "--", "sleep", "100")
    wait_until(lambda: [run for run in moat.runs() if run["state"] == "running"])
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=40)
    run = moat.run_named("hung")
    assert run["state"] == "stopped"
    assert gone(run["id"])


def test_a_detached_run_holds_nothing_of_its_callers(moat, workspace):
    """`x=$(moat run -d …)` comes back, and a closed terminal or a Ctrl-C there reaches nobody."""
    command = moat.command("run", workspace, "-d", "--name", "alone", "--no-sandbox", "--", "sleep", "100")
    leaked = os.open(workspace.parent, os.O_RDONLY)
    os.set_inheritable(leaked, True)
    # A session of its own, as a terminal's shell has; the substitution ends only when nobody holds its pipe.
    shell = subprocess.Popen(
        ["sh", "-c", 'x=$("$@" 2>&1 9<&0); printf "%s" "$x"; kill -HUP 0', "sh", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=moat.env | {"GITHUB_TOKEN": "ghp_" + "0" * 36, "MOAT_RUN_ID": "run_x", "MOAT_PROFILE": ""},
        pass_fds=[leaked],
        start_new_session=True,
    )
    out, _ = shell.communicate(timeout=60)
    os.close(leaked)
    run = moat.run_named("alone")
    assert run["id"].encode() in out
    assert run["state"] == "running"
    process = Path(f"/proc/{run['supervisor_pid']}")
    places = {number.name: os.readlink(number) for number in (process / "fd").iterdir()}
    assert {places[number] for number in "012"} == {"/dev/null"}
    ours = str(moat.home)
    for place in places.values():
        # The workspace is held for its record: what is compared at the end is what was looked at first.
        assert place == str(workspace) or place.startswith(
            (ours, "socket:", "anon_inode:", "/dev/null", "pipe:")
        ), place
    assert str(workspace.parent) not in places.values()
    assert os.readlink(process / "cwd") == "/"
    assert os.getsid(run["supervisor_pid"]) != shell.pid
    stat = (process / "stat").read_text()
    assert stat.rpartition(")")[2].split()[4] == "0"  # no controlling terminal
    moat("stop", "--kill", "alone")
    assert gone(run["id"])


def test_a_parent_that_is_killed_leaves_a_run_that_is_listed_or_none(moat, workspace, start):
    process = start(
        "run",
        workspace,
        "-d",
        "--name",
        "orphan",
        "--no-sandbox",
        "--",
        "sleep",
        "100",
        start_new_session=True,
    )
    wait_until(lambda: (moat.home / "runs").exists() and list((moat.home / "runs").iterdir()))
    process.kill()
    process.communicate()
    wait_until(lambda: moat.run_named("orphan")["state"] == "running")
    run = moat("stop", "orphan") and moat.run_named("orphan")
    assert run["state"] == "stopped"
    assert gone(run["id"])


def test_a_lost_run_directory_is_cleaned_by_its_label(moat, workspace):
    moat("run", workspace, "-d", "--name", "lost", "--no-sandbox", "--", "sleep", "100")
    run = moat.run_named("lost")
    os.kill(run["supervisor_pid"], signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{run['supervisor_pid']}").exists() or zombie(run["supervisor_pid"]))
    shutil.rmtree(moat.home / "runs" / run["id"])
    assert f"moat-{run['id']}" in moat("clean").stdout.decode()
    assert gone(run["id"])


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
