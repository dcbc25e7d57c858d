"""Clients that ignore HTTP_PROXY, in containers: served under the same rules, and with no other way out."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from e2e.conftest import CANARY, Moat, docker, wait_until

WANDERER = Path(__file__).with_name("wanderer.py")


@pytest.fixture(scope="module")
def neighbour(tmp_path_factory):
    """Another live run, on a network that the host has an address on: that address, and its proxy's URL."""
    base = tmp_path_factory.mktemp("neighbour")
    moat = Moat(base / "home")
    workspace = base / "workspace"
    workspace.mkdir()
    (workspace / "agent.yaml").write_text("network: {transparent: true}\n")
    try:
        moat(
            "run", workspace, "-d", "-n", "neighbour", "--accept-config", "--no-sandbox",
            "--", "sh", "-c", "echo $HTTP_PROXY; exec sleep 600",
        )  # fmt: skip
        url = wait_until(lambda: moat("logs", "neighbour").stdout.decode().strip())
        yield gateway_of(moat.run_named("neighbour")), url
    finally:
        moat.close()


def gateway_of(run: dict) -> str:
    return json.loads(docker("network", "inspect", run["network"]))[0]["IPAM"]["Config"][0]["Gateway"]


@pytest.mark.parametrize(
    ("sandbox", "policy"),
    [
        pytest.param("--no-sandbox", "strict", marks=pytest.mark.docker),
        pytest.param("", "strict", marks=pytest.mark.gvisor),
        pytest.param("--no-sandbox", "permissive", marks=pytest.mark.docker),
        pytest.param("--runtime bubblewrap", "strict", marks=pytest.mark.bubblewrap),
        pytest.param("--runtime bubblewrap", "permissive", marks=pytest.mark.bubblewrap),
    ],
)
def test_threat_16_17_18_23_a_client_without_a_proxy(moat, workspace, github, neighbour, sandbox, policy):
    moat.grant()
    shutil.copy(WANDERER, workspace)
    if policy == "permissive":
        (workspace / "agent.yaml").write_text("network: {transparent: true}\n")
    gateway, url = neighbour
    arrived = len(github.upstream.requests)
    done = moat(
        "run", workspace, "-n", "wanderer", "-g", "github", "--policy", policy, *sandbox.split(),
        *github.flags(), "-e", f"OTHER_GATEWAY={gateway}", "-e", f"OTHER_PROXY={url}",
        "--", "python3", "/workspace/wanderer.py",
    )  # fmt: skip
    out = json.loads(done.stdout)

    served = {name: out.pop(name) for name in ("api.github.com", "http/1.1", "raw client")}
    assert served == {"api.github.com": "200", "http/1.1": "200", "raw client": "HTTP/1.1 200"}
    assert out.pop("git") == "HEAD"
    seen = github.upstream.requests[arrived:]
    assert [r.all("authorization") for r in seen if r.path == "/status/200"] == [[f"Bearer {CANARY}"]] * 3
    assert out.pop("fronted") == "403 host-mismatch"
    assert out.pop("no name").startswith("curl ")
    assert [out.pop(f"dns {kind}") for kind in ("A", "AAAA", "TXT", "HTTPS")] == [1, 0, 0, 0]

    denied = {name: out.pop(name) for name in ("denied.test", "plain denied.test", "DoH")}
    expected = {"403 not-allowed"} if policy == "strict" else {"502 upstream-unreachable"}
    assert set(denied.values()) == expected  # the names do not resolve here
    if policy == "strict" or "bubblewrap" in sandbox:  # else what is tried directly has a route
        assert [name for name, said in out.items() if not str(said).startswith("refused: ")] == [], out
    others = {name: said for name, said in out.items() if name.startswith("another run's")}
    assert len(others) == 4
    # From an open network there is a way to another network's gateway, where its proxy drops strangers.
    assert all(str(said).startswith("refused: ") for said in others.values()), others
    assert moat.json("audit", "wanderer")["valid"] is True


@pytest.mark.docker
def test_threat_23_a_process_of_the_host_is_dropped_unread(neighbour):
    gateway, _ = neighbour
    for port in (80, 443):
        with socket.create_connection((gateway, port), 10) as sock:
            sock.sendall(b"GET /user HTTP/1.1\r\nHost: api.github.com\r\n\r\n")
            assert cut_off(sock)


@pytest.mark.parametrize(
    "sandbox",
    [pytest.param("--no-sandbox", marks=pytest.mark.docker), pytest.param("", marks=pytest.mark.gvisor)],
)
def test_without_the_right_to_low_ports_a_relay_has_them(moat, workspace, github, sandbox):
    moat.grant()
    (workspace / "agent.yaml").write_text("network: {transparent: true}\n")
    words = moat.command(
        "run", workspace, "-n", "relayed", "-g", "github", "--accept-config", *sandbox.split(),
        *github.flags(), "--", "curl", "-sS", "--noproxy", "*",
        "https://api.github.com/status/200", "-w", "%{http_code}",
    )  # fmt: skip
    low = "-net_bind_service"
    modest = ["setpriv", "--bounding-set", low, "--inh-caps", low] if os.getuid() == 0 else []
    done = subprocess.run([*modest, *words], capture_output=True, env=moat.env, timeout=90, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"200")
    assert moat.requests("relayed")[0]["grant"] == "github"
    assert moat.run_named("relayed")["id"] not in docker("ps", "-a")


def cut_off(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
