"""The daemons of docker:dind as containers, and who builds images."""

from __future__ import annotations

import json

import msgspec
import pytest

from engine.run.docker.inner import (
    DockerSurroundings,
    agent_environment,
    agent_files,
    builders,
    buildkit_sidecar,
    client_config,
    dockerd_sidecar,
)
from engine.run.docker.keys import make_docker_keys
from engine.runtimes import Bind, Network, PlacedFile

KEYS = make_docker_keys("docker")
URL = "http://moat:token@192.168.250.13:4000"
AROUND = DockerSurroundings(
    run_id="run_1",
    home_label="h",
    network=Network("moat-run_1", "n1", "192.168.250.13", "192.168.250.0/28", True, True),
    sandbox="standard",
    proxy_url=URL,
    trust=(PlacedFile("/moat/ca/bundle.crt", b"PEM"),),
    resolver=(Bind("/r/resolv.conf", "/etc/resolv.conf", read_only=True),),
    memory_mb=512,
)
GVISOR = msgspec.structs.replace(AROUND, sandbox="gvisor")
WORKSPACE = Bind("/ws", "/workspace")


def dockerd(around: DockerSurroundings = AROUND, workspace: Bind = WORKSPACE):
    return dockerd_sidecar(around, "docker:28-dind", KEYS, workspace)


def test_the_daemon_is_on_the_runs_network_alone_and_takes_nobody_without_the_agents_key():
    sidecar = dockerd()
    spec = sidecar.container
    assert (sidecar.name, sidecar.proxied, spec.network.name) == ("docker", True, "moat-run_1")
    assert spec.inner_daemon == "/var/lib/docker"
    assert spec.engine_socket == ""
    assert spec.command[:3] == ("sh", "/moat/inner_daemon.sh", "dockerd")
    assert not spec.entrypoint
    assert {"--host=tcp://0.0.0.0:2376", "--tlsverify", "--tlscacert=/moat/docker/ca.pem"} <= {*spec.command}
    assert not [word for word in spec.command if "2375" in word]
    files = {file.path: file for file in spec.files}
    assert files["/moat/docker/key.pem"].content == KEYS.server_key
    assert files["/moat/docker/key.pem"].mode == 0o600
    assert {file.content for file in agent_files(KEYS)}.isdisjoint({KEYS.server_key})
    assert spec.memory_mb == 512


def test_what_they_fetch_goes_through_the_proxy_and_verifies():
    for sidecar in (dockerd(), buildkit_sidecar(AROUND, "moby/buildkit:x")):
        spec = sidecar.container
        assert spec.env["HTTPS_PROXY"] == spec.env["http_proxy"] == URL
        assert spec.env["SSL_CERT_FILE"] == "/moat/ca/bundle.crt"
        assert AROUND.trust[0] in spec.files
        assert AROUND.resolver[0] in spec.binds
    inside = json.loads(client_config(URL).content)["proxies"]["default"]
    assert inside["httpProxy"] == inside["httpsProxy"] == URL


def test_both_have_the_runs_own_sandbox():
    for around in (AROUND, GVISOR):
        assert dockerd(around).container.sandbox == around.sandbox
        assert buildkit_sidecar(around, "x").container.sandbox == around.sandbox


def test_under_gvisor_nothing_is_asked_of_a_network_that_it_has_not():
    options = {"--bridge=none", "--iptables=false", "--ip-forward=false"}
    assert options <= {*dockerd(GVISOR).container.command}
    assert options.isdisjoint(dockerd().container.command)


@pytest.mark.parametrize(
    ("around", "read_only", "seen_read_only"),
    [(AROUND, False, False), (AROUND, True, True), (GVISOR, False, True)],
)
def test_the_workspace_is_seen_by_its_path_and_root_in_gvisor_leaves_nothing_there(
    around, read_only, seen_read_only
):
    bind = dockerd(around, Bind("/ws", "/workspace", read_only=read_only)).container.binds[0]
    assert (bind.source, bind.target, bind.read_only) == ("/ws", "/workspace", seen_read_only)


def test_buildkit_listens_where_its_variable_says():
    spec = buildkit_sidecar(AROUND, "moby/buildkit:x").container
    assert "--addr=tcp://0.0.0.0:1234" in spec.command
    assert spec.inner_daemon == "/var/lib/buildkit"
    assert WORKSPACE not in spec.binds
    assert agent_environment(sidecar=True, daemon=True)["BUILDKIT_HOST"] == "tcp://buildkit:1234"


@pytest.mark.parametrize(
    ("why_none", "daemon", "said", "variables"),
    [
        ("", True, "the BuildKit sidecar at tcp://buildkit:1234", {"BUILDKIT_HOST"}),
        ("", False, "Docker's legacy builder for `docker build`", {"BUILDKIT_HOST", "DOCKER_BUILDKIT"}),
        ("no image.", True, "the Docker daemon's own BuildKit: no BuildKit sidecar (no image)", set()),
        ("no image", False, "Docker's legacy builder: no BuildKit sidecar (no image)", {"DOCKER_BUILDKIT"}),
    ],
)
def test_the_chain_of_builders_says_which_it_is(why_none, daemon, said, variables):
    assert said in builders(why_none, daemon=daemon)
    env = agent_environment(sidecar=not why_none, daemon=daemon)
    assert {"BUILDKIT_HOST", "DOCKER_BUILDKIT"} & env.keys() == variables
    assert env.get("DOCKER_BUILDKIT", "0") == "0"
    assert env["DOCKER_TLS_VERIFY"] == "1"
