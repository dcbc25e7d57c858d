"""Podman, by what its 4.3 answered."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv4Network

import aiodocker
import msgspec
import pytest
from aiodocker.networks import DockerNetwork

from engine.errors import ContainerFailed, SandboxUnavailable
from engine.runtimes import ContainerSpec, EngineInfo, Network, engine_terms
from engine.runtimes.docker.body import container_body
from engine.runtimes.docker.client import engine_info
from engine.runtimes.docker.container import remove_container
from engine.runtimes.docker.errors import explain
from engine.runtimes.docker.network import create_network
from engine.runtimes.docker.podman import as_docker_would, podman_network

VERSION = {
    "Platform": {"Name": "linux/amd64/debian-12"},
    "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon"}],
    "Version": "4.3.1", "ApiVersion": "1.41", "Os": "linux", "Arch": "amd64",
}  # fmt: skip
IMPROPER = (
    "cannot remove container 56104de9 as it could not be stopped: sending SIGKILL to container 56104de9: "
    "container state improper: stopped"
)
NETWORK = Network("moat-run_1", "id", "10.0.0.253", "10.0.0.0/24", True, True)


def info(**more) -> EngineInfo:
    found = {"OperatingSystem": "debian", "Runtimes": {"crun": {}, "runsc": {}}, "Rootless": False} | more
    return engine_info(VERSION, found, "v1.41", "linux")


def test_it_is_known_and_its_sockets_are_made_inside() -> None:
    assert info().podman
    assert info().sockets_inside
    assert not info().rootless
    assert info(Rootless=True).rootless


def test_a_container_makes_the_sockets_under_podman_and_rootless() -> None:
    for engine, user in ((info(), "501:20"), (info(Rootless=True), "0:0")):
        terms = engine_terms(engine, NETWORK, False, 501, 20)
        assert terms.makes_listeners
        assert terms.reach.bind == "10.0.0.253"
        assert terms.user == user


@pytest.mark.parametrize("requested", [None, True])
def test_gvisor_is_refused_where_it_would_be_ignored(requested) -> None:
    with pytest.raises(SandboxUnavailable, match="cannot be had with Podman") as caught:
        engine_terms(info(), NETWORK, requested, 501, 20)
    assert "--no-sandbox" in caught.value.remedy


def test_its_networks_have_no_resolver() -> None:
    body = podman_network("n", "moatabc", IPv4Network("10.0.0.0/24"), {"moat.run": "r"}, internal=True)
    assert body["dns_enabled"] is False
    assert body["internal"] is True
    assert body["subnets"] == [{"subnet": "10.0.0.0/24"}]


def test_low_ports_are_anybodys_as_in_docker() -> None:
    spec = ContainerSpec(run_id="r", home_label="h", name="n", image="i", network=NETWORK)
    body = as_docker_would(container_body(spec))
    assert body["HostConfig"]["Sysctls"] == {"net.ipv4.ip_unprivileged_port_start": "0"}
    assert body["HostConfig"]["CapDrop"] == ["ALL"]
    daemon = msgspec.structs.replace(spec, inner_daemon="/var/lib/docker", sandbox="standard")
    both = as_docker_would(container_body(daemon))["HostConfig"]["Sysctls"]
    assert both == {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ip_forward": "1"}


def test_a_missing_init_names_its_package() -> None:
    message = "container create: container-init binary not found on the host: stat /x/catatonit"
    error = explain("create the container", 500, message)
    assert isinstance(error, ContainerFailed)
    assert "catatonit" in error.remedy


class Ending:
    """A container that is deleted only after `times` refusals."""

    def __init__(self, message: str, times: int) -> None:
        self.message, self.times = message, times

    async def delete(self, **_: object) -> None:
        if self.times:
            self.times -= 1
            raise aiodocker.DockerError(500, self.message)


async def test_a_container_that_ends_while_it_is_removed_is_removed() -> None:
    ending = Ending(IMPROPER, 2)
    await remove_container(ending)
    assert ending.times == 0
    with pytest.raises(aiodocker.DockerError):
        await remove_container(Ending("disk on fire", 1))


class Engine:
    """Stands in for a Client: keeps the bodies of networks it is asked to make."""

    api_number = (1, 41)

    def __init__(self, facts: EngineInfo) -> None:
        self.facts = facts
        self.docker = self.networks = self
        self.bodies: list[dict[str, object]] = []
        self.subnet = ""

    async def info(self) -> EngineInfo:
        return self.facts

    def asking(self, doing: str) -> contextlib.AbstractAsyncContextManager[None]:
        return contextlib.nullcontext()

    async def list(self) -> list[dict[str, object]]:
        return []

    async def create(self, body):
        self.bodies.append(body)
        self.subnet = body["IPAM"]["Config"][0]["Subnet"]
        return DockerNetwork(self, "id")

    async def _query_json(self, path, method="GET", *, data=None, versioned_api=True):
        if method == "POST":
            assert path == "v4.0.0/libpod/networks/create"
            self.bodies.append(data)
            self.subnet = data["subnets"][0]["subnet"]
            return {"name": data["name"]}
        return {"IPAM": {"Config": [{"Subnet": self.subnet, "Gateway": "<nil>"}]}}


@pytest.mark.parametrize("internal", [True, False])
async def test_the_place_of_the_host_is_free_where_only_a_container_can_listen(internal) -> None:
    rootless_docker = engine_info({}, {"SecurityOptions": ["name=rootless"]}, "v1.41", "linux")
    for facts in (info(), info(Rootless=True), rootless_docker):
        engine = Engine(facts)
        network = await create_network(engine, "run_1", "home", internal, apart=internal)
        assert network.apart
        assert network.internal is internal
        assert IPv4Address(network.gateway) == IPv4Network(engine.subnet).broadcast_address - 2
        (body,) = engine.bodies
        assert body.get("internal", body.get("Internal")) is internal
