"""What is started for an agent that uses Docker, what it gets, and what is said and recorded of it."""

from __future__ import annotations

import msgspec
import pytest
from support.fake_runtime import FakeRuntime

from engine.errors import ContainerFailed, ImageUnavailable, UsageError
from engine.home import Home
from engine.run.docker.delivery import deliver_docker, without_docker
from engine.run.docker.inner import BUILDKIT_PROBE, DockerSurroundings
from engine.run.request import RunRequest
from engine.run.spec import settle
from engine.runtimes import Network, ProxyReach, Terms

TERMS = Terms("standard", ProxyReach("h", "127.0.0.1", {}, "127.0.0.0/8"), "1000:1000", True)
AROUND = DockerSurroundings(
    run_id="run_1",
    home_label="h",
    network=Network("moat-run_1", "n1", "127.0.0.1", "127.0.0.0/8", False),
    sandbox="standard",
    proxy_url="http://moat:token@127.0.0.1:1",
    trust=(),
)


class FakeSidecars:
    """fails: name -> what `start` raises; unready: the same for `until_ready`."""

    def __init__(self):
        self.fails = {}
        self.unready = {}
        self.probe = 0
        self.live = []

    async def start(self, engine, spec, say):
        if spec.name in self.fails:
            raise self.fails[spec.name]
        self.live.append(spec.name)

    async def until_ready(self, name, say):
        if name in self.unready:
            raise self.unready[name]

    async def exit_code(self, name, command):
        assert (name, command) == ("docker", BUILDKIT_PROBE)
        return self.probe

    async def give_up(self, name):
        self.live = [each for each in self.live if each != name]

    def container_id(self, name):
        return f"id of {name}"


class Place:
    def __init__(self, tmp_path):
        self.home = Home(tmp_path / "home")
        self.home.ensure_dir(self.home.root)
        self.workspace = tmp_path / "ws"
        self.workspace.mkdir()
        self.sidecars = FakeSidecars()
        self.said = []
        self.entries = []

    async def note(self, entry):
        self.entries.append(entry)

    async def deliver(self, access, terms=TERMS, **changes):
        request = RunRequest(workspace=str(self.workspace), command=("true",), docker=access)
        spec = msgspec.structs.replace(settle(self.home, request), **changes)
        return await deliver_docker(spec, terms, AROUND, self.sidecars, FakeRuntime(), self, self.said.append)

    @property
    def entry(self):
        ((kind, data),) = self.entries
        assert (kind, data["action"]) == ("container", "docker")
        return data


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


async def test_a_run_without_docker_gets_nothing_of_it(place):
    given = await place.deliver("none")
    assert (given.env, given.files, given.home_files, given.socket) == ({}, (), (), "")
    assert place.said == place.entries == place.sidecars.live == []


async def test_the_machines_engine_is_its_socket_and_the_group_that_may_use_it(place):
    terms = msgspec.structs.replace(TERMS, engine_socket="/run/docker.sock", engine_group=998)
    given = await place.deliver("host", terms)
    assert (given.socket, given.groups) == ("/run/docker.sock", (998,))
    assert given.env == {"DOCKER_HOST": "unix:///var/run/docker.sock"}
    assert "WARNING: docker:host" in place.said[0]
    assert place.entry["reason"] == "docker:host: /run/docker.sock is in the container"
    assert place.sidecars.live == []


async def test_where_no_socket_can_be_mounted_the_engine_is_reached_with_a_key(place):
    terms = msgspec.structs.replace(
        TERMS, sandbox="gvisor", mounts_sockets=False, engine_socket="/run/docker.sock", engine_group=998
    )
    given = await place.deliver("host", terms)
    try:
        assert (given.socket, given.groups) == ("", ())
        assert given.hosts == {"docker": "127.0.0.1"}
        where = f"docker:{given.relay.port}"
        assert given.env["DOCKER_HOST"] == f"tcp://{where}"
        assert given.env["DOCKER_TLS_VERIFY"] == "1"
        assert [file.path for file in given.files] == [
            f"/moat/docker/{name}.pem" for name in ("ca", "cert", "key")
        ]
        assert "WARNING: docker:host" in place.said[0]
        assert place.entry["reason"] == f"docker:host: /run/docker.sock is reached at {where}"
    finally:
        given.close()


@pytest.mark.parametrize("sandbox", ["gvisor", "standard"])
async def test_without_a_socket_nothing_is_recorded_as_given(place, sandbox):
    with pytest.raises(UsageError, match="docker:host cannot be had"):
        await place.deliver("host", msgspec.structs.replace(TERMS, sandbox=sandbox))
    assert place.entries == []


async def test_a_daemon_and_buildkit_are_beside_the_agent_and_recorded(place):
    given = await place.deliver("dind")
    assert sorted(place.sidecars.live) == ["buildkit", "docker"]
    assert given.env["BUILDKIT_HOST"] == "tcp://buildkit:1234"
    assert "DOCKER_BUILDKIT" not in given.env
    assert [file.path for file in given.files] == [
        f"/moat/docker/{name}.pem" for name in ("ca", "cert", "key")
    ]
    assert [file.path for file in given.home_files] == [".docker/config.json"]
    assert given.socket == ""
    entry = place.entry
    assert entry["privileged"] is entry["buildkit_enabled"] is True
    assert (entry["buildkit_container_id"], entry["buildkit_network_id"]) == ("id of buildkit", "n1")
    assert "image docker:28-dind" in entry["reason"]


@pytest.mark.parametrize("step", ["fails", "unready"])
async def test_without_the_sidecar_the_daemons_own_buildkit_builds(place, step):
    error = ImageUnavailable if step == "fails" else ContainerFailed
    getattr(place.sidecars, step)["buildkit"] = error("it is not here")
    given = await place.deliver("dind")
    assert place.sidecars.live == ["docker"]
    assert {"BUILDKIT_HOST", "DOCKER_BUILDKIT"}.isdisjoint(given.env)
    assert place.said[-1] == (
        "images are built by the Docker daemon's own BuildKit: no BuildKit sidecar (it is not here)"
    )
    entry = place.entry
    assert entry["buildkit_enabled"] is True
    assert {"buildkit_container_id", "buildkit_network_id"}.isdisjoint(entry)
    assert place.said[-1] in entry["reason"]


@pytest.mark.parametrize("probe", [1, None])
async def test_without_either_the_legacy_builder_builds(place, probe):
    place.sidecars.probe = probe
    given = await place.deliver("dind", buildkit_image="")
    assert given.env["DOCKER_BUILDKIT"] == "0"
    assert "by Docker's legacy builder: no BuildKit sidecar (docker.buildkit_image" in place.said[-1]
    assert "buildkit_enabled" not in place.entry


async def test_without_the_daemon_there_is_no_run(place):
    place.sidecars.unready["docker"] = ContainerFailed("the Docker daemon ended")
    with pytest.raises(ExceptionGroup) as raised:
        await place.deliver("dind")
    assert raised.group_contains(ContainerFailed, match="the Docker daemon ended")
    assert place.entries == []


def test_an_image_that_is_not_made_for_it_is_named():
    assert without_docker((), (), "x") == []
    assert without_docker((".env",), (), "x") == []
    (line,) = without_docker((), ("docker",), "bare:1")
    assert line.startswith("the image bare:1 has no `docker` command")
    (line,) = without_docker((".docker/config.json",), (), "x")
    assert "no proxy variables" in line
