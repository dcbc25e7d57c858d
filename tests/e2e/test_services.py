"""Services on real servers, of the Debian of the base image: PostgreSQL 15, MariaDB 10.11, Redis 7.0.

No registry can be reached here, so the official images are not what runs: these take their settings in the
same way (tests/support/services), and tests/engine/run/test_services.py holds what the official ones get.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from e2e.conftest import docker, kill, wait_until
from e2e.test_adversary import own_address

HERE = Path(__file__).parent
BUILD = HERE.parent / "support" / "services" / "build.sh"
CLIENTS = "moat-test-clients:bookworm"
WAYS = [
    pytest.param(("--no-sandbox", "--policy", "strict"), id="standard-strict", marks=pytest.mark.docker),
    pytest.param(("--no-sandbox",), id="standard-permissive", marks=pytest.mark.docker),
    pytest.param(("--policy", "strict"), id="gvisor-strict", marks=pytest.mark.gvisor),
]


@pytest.fixture(scope="session", autouse=True)
def images(docker_engine):
    made = subprocess.run(["bash", BUILD], capture_output=True, text=True, timeout=600, check=False)
    if made.returncode:
        absent = pytest.fail if os.environ.get("CI") else pytest.skip
        absent(f"the images of the servers could not be made: {made.stderr.strip()}")


def asks(workspace, *services, **more):
    """agent.yaml: these services, from the images that are here."""
    versions = {"postgres": 17, "redis": 7, "mysql": 8}
    config = {
        "dependencies": [f"{name}@{versions[name]}" for name in services],
        "services": {
            name: {"image": f"moat-test-{name}:bookworm", **more.get(name, {})} for name in services
        },
    }
    (workspace / "agent.yaml").write_text(json.dumps(config))  # JSON is YAML


@pytest.mark.parametrize("way", WAYS)
def test_an_agent_uses_its_services_and_they_reach_nothing(moat, workspace, way):
    strict = "strict" in way
    asks(workspace, "postgres", "redis", *(["mysql"] if way == WAYS[0].values[0] else []),
         postgres={"env": {"POSTGRES_DB": "app"}})  # fmt: skip
    for program in ("service_user.py", "captive.py"):
        shutil.copy(HERE / program, workspace)
    with socket.create_server(("0.0.0.0", 0)) as outside:
        done = moat(
            "run", workspace, "--image", CLIENTS, "--name", "served", *way,
            "-e", "CAPTIVE=/workspace/captive.py",
            "-e", f"OUTSIDE={own_address()}:{outside.getsockname()[1]}",
            "--", "python3", "/workspace/service_user.py",
        )  # fmt: skip
    out = json.loads(done.stdout)
    assert (out["postgres"], out["redis"]) == ("app", "PONG")
    assert "NOAUTH" in out["redis without"]
    assert "password authentication failed" in out["postgres without"]
    assert out.get("mysql", "moat") == "moat"
    captive = out["captive"]
    assert not captive["root"]
    assert captive["capabilities"] == [0, 0, 0]
    assert captive["told"] == []
    assert captive["proxy with the token"] == ""  # dropped unread
    if strict:
        assert (captive["port 80"], captive["port 443"]) == ("", "")
        ways_out = ("resolver", "name", "outside", "public address", "metadata")
        assert [way for way in ways_out if not captive[way].startswith("refused: ")] == []
    if way != WAYS[0].values[0]:
        return
    told = [entry["data"].get("reason", "") for entry in moat.entries("served")]
    image = docker("image", "inspect", "--format", "{{.Id}}", "moat-test-redis:bookworm").strip()
    assert f"redis started, image moat-test-redis:bookworm, image id {image}" in told
    (run,) = moat.runs()
    assert run["services"]["postgres"] == "moat-test-postgres:bookworm"
    assert left_of(run["id"]) == ("", "")


def left_of(run_id):
    label = f"label=moat.run={run_id}"
    return docker("ps", "-aq", "--filter", label), docker("network", "ls", "-q", "--filter", label)


@pytest.mark.docker
def test_a_service_belongs_to_its_run_alone(moat, workspace, tmp_path):
    """Nobody else reaches it, Docker tells no password, its end is told, and it dies with its run."""
    asks(workspace, "redis")
    agent = moat.start(
        "run", workspace, "--image", CLIENTS, "--name", "owner", "--no-sandbox",
        "--", "sh", "-c", "echo $MOAT_REDIS_PASSWORD > told; exec sleep 600",
    )  # fmt: skip
    try:
        password = wait_until(lambda: (workspace / "told").exists() and (workspace / "told").read_text())
        run = moat.run_named("owner")
        (redis,) = json.loads(docker("inspect", f"moat-{run['id']}-redis"))
        assert password.strip() not in json.dumps(redis) + docker("top", redis["Id"])
        (data,) = (mount["Name"] for mount in redis["Mounts"])
        address = redis["NetworkSettings"]["Networks"][f"moat-{run['id']}"]["IPAddress"]
        other = tmp_path / "other"
        other.mkdir()
        stranger = moat(
            "run", other, "--no-sandbox", "--", "python3", "-c",
            "import socket, sys; socket.create_connection((sys.argv[1], 6379), 1.5)", address,
            check=False,
        )  # fmt: skip
        assert b"TimeoutError" in stranger.stderr
        socket.create_connection((address, 6379), 3).close()  # it was there to be reached
        docker("kill", redis["Id"])
        metadata = moat.home / "runs" / run["id"] / "metadata.json"
        (lost,) = wait_until(lambda: json.loads(metadata.read_bytes()).get("lost"))
        assert lost == "redis ended with exit code 137"
        assert data in docker("volume", "ls", "-q").split()
        kill(run["supervisor_pid"])
        agent.wait(30)
        moat("clean")
        assert left_of(run["id"]) == ("", "")
        reasons = [entry["data"].get("reason") for entry in moat.entries("owner")]
        assert lost in reasons
        assert data not in docker("volume", "ls", "-q").split()
    finally:
        agent.kill()
        agent.communicate()


@pytest.mark.docker
def test_a_service_that_cannot_start_is_explained_in_three_lines(moat, workspace):
    asks(workspace, "postgres", postgres={"env": {"POSTGRES_USER": "pg_wrong"}})
    done = moat("run", workspace, "--no-sandbox", "--accept-config", "--", "true", check=False)
    assert done.returncode == 125
    said = done.stderr.decode()
    assert "the service postgres ended with exit code 1" in said
    assert 'superuser name "pg_wrong" is disallowed' in said
    (run,) = moat.runs()
    assert str(moat.home / "runs" / run["id"] / "postgres.log") in said
    assert left_of(run["id"]) == ("", "")
