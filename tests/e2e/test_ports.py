"""Published ports and volumes, for real: of the right run and of the right workspace, and no way back."""

from __future__ import annotations

import json
import socket
import subprocess

import pytest
from e2e.conftest import wait_until

SERVER = """
echo $MOAT_RUN_ID >> /cache/seen
mkdir /tmp/site; echo $MOAT_RUN_ID > /tmp/site/who; cat /cache/seen > /tmp/site/seen
exec python3 -m http.server $PORT --bind $BIND --directory /tmp/site
"""


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def describe(workspace, port: int, policy: str, *, bind: str = "0.0.0.0") -> None:
    workspace.mkdir(exist_ok=True)
    (workspace / "agent.yaml").write_text(
        f"name: web\ncommand: {json.dumps(SERVER)}\nenv: {{PORT: {port}, BIND: {bind}}}\n"
        f"network: {{policy: {policy}}}\n"
        f"ports: {{web: {port}}}\nvolumes: [{{name: cache, target: /cache}}]\n"
    )


def curl(address: str, path: str) -> str:
    done = subprocess.run(
        ["curl", "-s", "-m", "10", "--noproxy", "*", f"http://{address}/{path}"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.stdout.strip()


def half_closed(address: str) -> str:
    """As a client that says that it will say no more, and then listens."""
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), 10) as sock:
        sock.sendall(b"GET /who HTTP/1.0\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: sock.recv(4096), b""))
    return heard.decode().rpartition("\r\n\r\n")[2].strip()


@pytest.mark.parametrize(
    ("flags", "policy"),
    [
        pytest.param(("--no-sandbox",), "permissive", marks=pytest.mark.docker, id="runc"),
        pytest.param((), "permissive", marks=pytest.mark.gvisor, id="gvisor-permissive"),
        pytest.param((), "strict", marks=pytest.mark.gvisor, id="gvisor-strict"),
        pytest.param(("--runtime", "bubblewrap"), "strict", marks=pytest.mark.bubblewrap, id="bubblewrap"),
    ],
)
def test_threat_40_two_runs_of_one_name_and_port_never_cross(moat, workspace, tmp_path, port, flags, policy):
    other = tmp_path / "other"
    for each in (workspace, other):
        describe(each, port, policy, bind="localhost" if "bubblewrap" in flags else "0.0.0.0")  # there ::1
    one = moat.json("run", workspace, "-d", *flags)
    two = moat.json("run", other, "-d", *flags)
    assert one["name"] == two["name"] == "web"
    (at_one,), (at_two,) = ([port["address"] for port in run["ports"]] for run in (one, two))
    assert at_one == f"127.0.0.1:{port}"
    assert at_two.startswith("127.0.0.1:")
    assert at_two != at_one
    for run, address in ((one, at_one), (two, at_two)):
        assert wait_until(lambda address=address: curl(address, "who")) == run["id"]
        assert half_closed(address) == run["id"]
        # The volume of that name is the workspace's own.
        assert curl(address, "seen") == run["id"]

    # It is there for this machine alone, and it is no way back to it.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((own_address(), port), 10)
    back = f"curl -s -m 3 --noproxy '*' 127.0.0.1:{port}/who host.docker.internal:{port}/who; true"
    assert one["id"] not in moat("exec", two["id"], "--", "sh", "-c", back).stdout.decode()

    refused = moat("volumes", "rm", "cache", workspace, check=False)
    assert b"in use by run web" in refused.stderr

    moat("stop", "--kill", one["id"])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 10)
    assert curl(at_two, "who") == two["id"]
    begun = moat.entries(one["id"])
    assert f"ports web:{port}; volumes cache:/cache:rw" in begun[0]["data"]["message"]
    started = next(entry["data"] for entry in begun if entry["data"].get("action") == "started")
    assert f"web at {at_one}" in started["reason"]
    # A later run of the same workspace finds what the first one left; `--volume` says where, and read-only.
    seen = moat(
        "run",
        workspace,
        "--volume",
        "cache:/kept:ro",
        *flags,
        "--",
        "sh",
        "-c",
        "cat /kept/seen; echo > /kept/x",
        check=False,
    )
    assert seen.stdout.decode().split() == [one["id"]]
    assert seen.returncode != 0


def own_address() -> str:
    """One of this machine that is not loopback, and that needs no network to be known."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("198.51.100.1", 9))
        return sock.getsockname()[0]


@pytest.mark.bubblewrap
def test_threat_39_a_port_that_agent_yaml_newly_asks_for_is_a_persons_to_give(moat, workspace, port):
    (workspace / "agent.yaml").write_text("command: ['true']\n")
    moat("run", workspace, "--runtime", "bubblewrap", "--accept-config")
    describe(workspace, port, "strict")
    done = moat("run", workspace, "--runtime", "bubblewrap", check=False)
    assert done.returncode == 125
    assert f"port web:{port} on this machine".encode() in done.stderr
    assert b"volume cache:/cache:rw" in done.stderr
    assert moat.json("volumes") == []
