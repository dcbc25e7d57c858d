"""The command line on live runs: what a person sees while the agent is still at work."""

from __future__ import annotations

import json
import os
import pty
import select

import pytest
from e2e.conftest import CANARY, wait_until

pytestmark = pytest.mark.docker

# Writes a line, then waits for the file `go`: the test says when the agent goes on and when it ends.
STEPS = "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two >&2; exit 3"
CALLS = "curl -s https://api.github.com/user; while [ ! -e go ]; do sleep 0.02; done; curl -s https://api.github.com/user"
LIST_KEYS = {
    "id", "name", "created_at", "state", "agent", "workspace", "command", "image", "runtime", "sandbox",
    "policy", "grants", "profile", "interactive", "started_at", "ended_at", "exit_code", "error",
}  # fmt: skip


@pytest.fixture
def live(moat, workspace):
    """Start a detached run; its id, when the agent runs."""

    def start(name, script, *options):
        # stdout is read to its end, as `x=$(moat run -d …)` does: a supervisor that kept it open would
        # hold the caller until the agent ends.
        done = moat("run", workspace, "-d", "-n", name, "--no-sandbox", *options, "--", "sh", "-c", script)
        return done.stdout.decode()

    return start


def test_a_detached_run_gives_its_id_and_the_shell_back_at_once(moat, workspace, live):
    out = live("bg", STEPS)
    run = moat.run_named("bg")
    assert out == f"{run['id']}\n"
    assert run["state"] == "running"  # it was not waited for
    (workspace / "go").touch()


def test_logs_f_follows_a_live_run_to_its_end(moat, workspace, live):
    live("talker", STEPS)
    logs = moat.start("logs", "-f", "talker")
    assert logs.stdout.readline() == b"one\n"
    (workspace / "go").touch()
    out, err = logs.communicate(timeout=30)
    assert (out, err, logs.returncode) == (b"two\n", b"", 0)
    assert moat.run_named("talker")["exit_code"] == 3


def test_trace_f_shows_requests_as_they_are_made_and_ends_with_the_run(moat, workspace, github, live):
    moat.grant()
    live("caller", CALLS, "-g", "github", *github.flags())
    trace = moat.start("trace", "-f", "caller", "--json")
    first = json.loads(trace.stdout.readline())
    assert (first["host"], first["status_code"], first["grant"]) == ("api.github.com", 200, "github")
    (workspace / "go").touch()
    out, _ = trace.communicate(timeout=30)
    assert [json.loads(line)["url"] for line in out.splitlines()] == ["https://api.github.com/user"]
    assert trace.returncode == 0
    assert CANARY.encode() not in out


def test_a_reader_that_leaves_ends_the_follower_and_not_the_run(moat, workspace, live):
    live("heard", STEPS)
    logs = moat.start("logs", "-f", "heard")
    assert logs.stdout.readline() == b"one\n"
    logs.stdout.close()
    (workspace / "go").touch()
    assert logs.wait(30) == 141
    assert logs.stderr.read() == b""
    logs.stderr.close()
    wait_until(lambda: moat.run_named("heard")["state"] == "exited")


def test_the_audit_log_of_a_live_run_verifies_and_is_open(moat, workspace, live):
    live("open", STEPS)
    done = moat("audit", "open", "--json")
    verdict = json.loads(done.stdout)
    assert verdict["valid"]
    assert not verdict["closed"]
    assert b"open is running" in done.stderr
    (workspace / "go").touch()
    wait_until(lambda: moat.run_named("open")["state"] == "exited")
    done = moat("audit", "open", "--json")
    verdict = json.loads(done.stdout)
    assert verdict["valid"]
    assert verdict["closed"]
    assert done.stderr == b""


def test_list_json_has_the_keys_scripts_rely_on(moat, workspace):
    assert moat.json("list") == []
    moat("run", workspace, "--no-sandbox", "-n", "done", "--", "sh", "-c", "exit 4", check=False)
    (run,) = moat.json("list")
    assert set(run) >= LIST_KEYS
    assert (run["name"], run["state"], run["exit_code"]) == ("done", "exited", 4)
    assert run["command"] == ["sh", "-c", "exit 4"]


def test_a_live_run_is_not_destroyed(moat, workspace, live):
    live("busy", STEPS)
    refused = moat("destroy", "busy", "--yes", check=False)
    assert refused.returncode == 125
    assert b"Stop it first: moat stop run_" in refused.stderr
    assert moat("stop", "--kill", "busy").stdout.endswith(b" stopped\n")
    again = moat("stop", "busy")
    assert b"had ended before" in again.stderr
    moat("destroy", "busy", "--yes")
    assert moat.runs() == []


class Typist:
    """A person at a terminal: `moat` on a pseudo-terminal of its own, what it shows in `seen`."""

    def __init__(self, command, env):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execvpe(command[0], command, env)
        self.pid = pid
        self.seen = b""

    def until(self, text):
        def came():
            if select.select([self.fd], [], [], 0)[0]:
                self.seen += os.read(self.fd, 65536)
            return text in self.seen

        wait_until(came, 30)

    def type(self, line):
        os.write(self.fd, line)

    def end(self):
        """The exit code, after everything shown was read."""
        try:
            while data := os.read(self.fd, 65536):
                self.seen += data
        except OSError:  # EIO: Linux's way to say that the other side is closed
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_grant_from_a_hidden_prompt_to_its_use_to_its_end(moat, workspace, github):
    env = {**moat.env, "TERM": "xterm", "PATH": "/usr/bin:/bin"}  # no gh here to take a token from
    person = Typist(moat.command("grant", "github", "--no-validate"), env)
    person.until(b"(not shown): ")
    person.type(CANARY.encode() + b"\n")
    assert person.end() == 0
    assert CANARY.encode() not in person.seen
    assert b"github: taken from prompt" in person.seen

    done = moat(
        "run", workspace, "--no-sandbox", "-n", "user", "-g", "github", *github.flags(),
        "--", "curl", "-sS", "https://api.github.com/user",
    )  # fmt: skip
    assert "login" in json.loads(done.stdout)
    (grant,) = moat.json("grant", "list")
    assert (grant["provider"], grant["source"]) == ("github", "prompt")
    assert grant["last_used_run"] == moat.run_named("user")["id"]
    assert moat.files_with(CANARY) == []

    moat("revoke", "github")
    assert moat.json("grant", "list") == []
    assert moat("revoke", "github", check=False).returncode == 125
    refused = moat("run", workspace, "--no-sandbox", "-g", "github", "--", "true", check=False)
    assert refused.returncode == 125
    assert b"Store one first: moat grant github" in refused.stderr
