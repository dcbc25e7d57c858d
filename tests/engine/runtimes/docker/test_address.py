"""DOCKER_HOST, contexts and sockets, as Docker's own command line (28.2) reads them."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path

import pytest

from engine.errors import RuntimeUnavailable
from engine.runtimes import DockerRuntime
from engine.runtimes.docker.address import Endpoint, find_endpoint, podman_hint


@pytest.fixture
def environ(tmp_path):
    """Contexts as `docker context create` makes them; "one" is in use."""
    contexts = {
        "one": "unix:///one.sock", "far": "ssh://me@box", "lan": "tcp://10.0.0.1:2376", "tls": "tcp://127.0.0.1:2376",
        "kube": None,
    }  # fmt: skip
    for name, host in contexts.items():
        digest = hashlib.sha256(name.encode()).hexdigest()
        meta = tmp_path / "contexts" / "meta" / digest / "meta.json"
        meta.parent.mkdir(parents=True)
        docker = {"docker": {"Host": host, "SkipTLSVerify": False}} if host else {}
        meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": docker}))
        if name == "tls":
            (tmp_path / "contexts" / "tls" / digest / "docker").mkdir(parents=True)
    (tmp_path / "config.json").write_text(json.dumps({"auths": {}, "currentContext": "one"}))
    return {"DOCKER_CONFIG": str(tmp_path)}


def test_docker_host_wins_then_the_context_named_then_the_one_in_use(environ) -> None:
    host, context = {"DOCKER_HOST": " unix:///x.sock "}, {"DOCKER_CONTEXT": "far"}
    assert find_endpoint(environ | host | context) == Endpoint("unix:///x.sock", "DOCKER_HOST")
    assert find_endpoint(environ | context).address == "ssh://me@box"
    used = find_endpoint(environ)
    assert (used.address, used.problem) == ("unix:///one.sock", "")
    assert (
        str(used) == f"unix:///one.sock (the Docker context 'one' of {environ['DOCKER_CONFIG']}/config.json)"
    )
    assert find_endpoint(environ | {"DOCKER_CONTEXT": "default"}).source == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"DOCKER_HOST": "ssh://me@box"}, "an engine behind SSH is on another machine"),
        ({"DOCKER_HOST": "tcp://192.168.1.5:2375"}, "the engine must be on this machine"),
        (
            {"DOCKER_HOST": "tcp://localhost:2376", "DOCKER_TLS_VERIFY": "1"},
            "no TLS.*TLS_VERIFY asks for it",
        ),
        ({"DOCKER_HOST": "https://127.0.0.1:2376"}, "no TLS"),
        ({"DOCKER_HOST": "npipe:////./pipe/docker_engine"}, "named pipes"),
        ({"DOCKER_HOST": "/var/run/docker.sock"}, "neither a unix socket nor a TCP port"),
        ({"DOCKER_HOST": "tcp://[::1"}, "no address"),
        ({"DOCKER_CONTEXT": "far"}, "an engine behind SSH is on another machine"),
        ({"DOCKER_CONTEXT": "lan"}, "the engine must be on this machine"),
        ({"DOCKER_CONTEXT": "tls"}, "no TLS.*contexts/tls"),
        ({"DOCKER_CONTEXT": "kube"}, "names no Docker endpoint"),
        ({"DOCKER_CONTEXT": "none"}, "there is no such context"),
    ],
)
async def test_what_cannot_be_used_says_why_and_whose_word_it_was(environ, changes, why) -> None:
    with pytest.raises(RuntimeUnavailable, match=f"(?i){why}") as caught:
        async with DockerRuntime.connect(environ | changes):
            pass
    assert next(iter(changes)) in caught.value.what
    assert "unix:///var/run/docker.sock" in caught.value.remedy
    assert len(caught.value.lines()) <= 3


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:2375", "tcp://localhost:2375", "tcp://[::1]:2375", "unix:///x"]
)
def test_what_can_be_used(address) -> None:
    assert find_endpoint({"DOCKER_HOST": address}) == Endpoint(address, "DOCKER_HOST")


async def test_a_context_whose_engine_does_not_answer_is_named(environ) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"answers at unix:///one\.sock \(the Docker context"):
        async with DockerRuntime.connect(environ):
            pass


def test_without_a_word_the_first_socket_there_is(tmp_path) -> None:
    nobody = {"HOME": str(tmp_path)}
    if not Path("/var/run/docker.sock").is_socket():
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "docker.sock"))
            found = find_endpoint({**nobody, "XDG_RUNTIME_DIR": str(tmp_path)})
            assert found == Endpoint(f"unix://{tmp_path}/docker.sock")
    assert find_endpoint({**nobody, "XDG_RUNTIME_DIR": "/nowhere"}) == Endpoint("unix:///var/run/docker.sock")


def test_podman_is_named_where_it_listens(tmp_path) -> None:
    assert podman_hint(tmp_path / "no.sock") == ""
    (tmp_path / "podman.sock").touch()
    assert (
        podman_hint(tmp_path / "podman.sock") == f" Or use Podman: DOCKER_HOST=unix://{tmp_path}/podman.sock."
    )
