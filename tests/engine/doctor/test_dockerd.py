"""A daemon we start outlives us, holds none of our pipes, and is heard when it dies."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from engine.doctor.dockerd import reload_daemon, start_daemon
from engine.errors import RuntimeFailure

# Plays dockerd: answers /version and /info on the socket named by its last argument.
DAEMON = """
import http.server, json, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        runtimes = json.load(open(CONFIG))["runtimes"] if os.path.exists(CONFIG) else {}
        said = {"Version": "99", "ApiVersion": "1.41", "SystemTime": "", "Runtimes": runtimes}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "unix"
CONFIG, PID, SOCKET = sys.argv[-3:]
open(PID, "w").write(str(os.getpid()))
import signal
signal.signal(signal.SIGHUP, lambda *_: open(PID + ".hup", "w").close())
print("dockerd is up", flush=True)
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
Server(SOCKET, Handler).serve_forever()
"""


@pytest.fixture
def daemon(machine, altered, commands, tmp_path):
    """A machine whose dockerd is the script above; it is ended after the test."""
    script = tmp_path / "dockerd.py"
    script.write_text(DAEMON)
    commands.add("dockerd", f'exec {sys.executable} {script} "$@"')
    arguments = (str(machine.daemon_json), str(machine.dockerd_pid), str(machine.socket))
    yield altered(machine, dockerd_args=arguments)
    if machine.dockerd_pid.exists():
        os.kill(int(machine.dockerd_pid.read_text()), signal.SIGKILL)


async def test_it_runs_in_a_session_of_its_own_with_its_output_in_the_log(daemon):
    await start_daemon(daemon, timeout=20)
    pid = int(daemon.dockerd_pid.read_text())
    assert os.getsid(pid) == pid
    assert os.getsid(pid) != os.getsid(0)
    opened = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)}
    assert opened == {0: "/dev/null", 1: str(daemon.dockerd_log), 2: str(daemon.dockerd_log)}
    assert not any("pipe:" in os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
    assert "dockerd is up" in daemon.dockerd_log.read_text()


async def test_one_that_dies_is_noticed_at_once_and_quoted(machine, commands):
    machine.dockerd_log.parent.mkdir()
    machine.dockerd_log.write_text("failed to do something last week\n")
    commands.add("dockerd", "echo 'failed to start daemon: no space left on device' >&2; exit 1")
    began = time.monotonic()
    with pytest.raises(RuntimeFailure) as caught:
        await start_daemon(machine, timeout=30)
    assert time.monotonic() - began < 15
    assert "no space left" in caught.value.detail
    assert "last week" not in caught.value.detail
    assert "disk is full" in caught.value.remedy


async def test_one_that_never_answers_is_given_up(machine, commands):
    commands.add("dockerd", f"echo $$ > {machine.dockerd_pid}; exec sleep 60")
    with pytest.raises(RuntimeFailure, match="no answer within 1 s"):
        await start_daemon(machine, timeout=1)
    os.kill(int(machine.dockerd_pid.read_text()), signal.SIGKILL)


async def test_where_systemd_is_it_does_the_work(machine, altered, commands, engine):
    machine.systemd_marker.mkdir()
    commands.add("systemctl")
    await start_daemon(machine, timeout=10)
    assert commands.calls == ["systemctl enable --now docker"]


async def test_reload_signals_the_daemon_and_waits_until_it_lists_the_runtime(daemon):
    await start_daemon(daemon, timeout=20)
    daemon.daemon_json.parent.mkdir()
    daemon.daemon_json.write_text('{"runtimes": {"runsc": {"path": "/usr/bin/runsc"}}}')
    await reload_daemon(daemon, expect_runtime={"path": "/usr/bin/runsc"})
    assert Path(f"{daemon.dockerd_pid}.hup").exists()


async def test_a_daemon_that_keeps_its_old_configuration_is_an_error(daemon, monkeypatch):
    monkeypatch.setattr("engine.doctor.dockerd.RELOAD_TIMEOUT", 0.5)
    await start_daemon(daemon, timeout=20)
    with pytest.raises(RuntimeFailure, match="did not take up"):
        await reload_daemon(daemon, expect_runtime={"path": "/usr/bin/runsc"})


async def test_a_daemon_without_a_pid_file_is_left_to_the_person(machine):
    with pytest.raises(RuntimeFailure) as caught:
        await reload_daemon(machine, expect_runtime={})
    assert "Restart" in caught.value.remedy
