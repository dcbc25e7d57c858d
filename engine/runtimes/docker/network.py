"""A run's own bridge network: alone on it, the container reaches the host's address there and, in
`strict`, nothing else.

`Internal` makes Docker drop whatever crosses the bridge from or to another subnet, and gives the
container no way out (docker/subnet.py sees to it on engines that do). What stays in reach is the host's
own address on the bridge: the proxy, and any other service of the host that listens on every address.
A network `apart` is internal and has no address of the host's at all.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

import aiodocker
from aiodocker.networks import DockerNetwork

from engine.errors import ContainerFailed
from engine.runtimes.docker import podman
from engine.runtimes.docker.client import WANTED_API, Client
from engine.runtimes.docker.subnet import (
    dead_end,
    engine_subnets,
    free_subnets,
    host_routes,
    place_of_host,
)
from engine.runtimes.spec import HOME_LABEL, RUN_LABEL, Network

_TRIES = 8  # subnets to try when other runs take the chosen one first


def network_name(run_id: str) -> str:
    return f"moat-{run_id}"


def network_body(
    run_id: str, home_label: str, internal: bool, ipam: dict[str, Any] | None = None, *, apart: bool = False
) -> dict[str, Any]:
    """The body of `POST /networks/create`. IPv6 is off because the proxy's address is IPv4 only."""
    body: dict[str, Any] = {
        "Name": network_name(run_id),
        "Driver": "bridge",
        "Internal": internal,
        "Attachable": False,
        "EnableIPv6": False,
        "CheckDuplicate": True,  # names are not unique in engines before 24 unless asked
        "Options": {"com.docker.network.bridge.name": interface_name(run_id)},
        "Labels": {RUN_LABEL: run_id, HOME_LABEL: home_label},
    }
    if apart:
        body["Options"]["com.docker.network.bridge.inhibit_ipv4"] = "true"
    if ipam is not None:
        body["IPAM"] = {"Driver": "default", "Config": [ipam]}
    return body


def interface_name(run_id: str) -> str:
    """The bridge's name on the host: at most 15 characters, and `moat*` for anybody's firewall rules."""
    return "moat" + hashlib.sha256(run_id.encode()).hexdigest()[:10]


def bridge_of(network: Network) -> str:
    return interface_name(network.name.removeprefix(network_name("")))


async def create_network(
    client: Client, run_id: str, home_label: str, internal: bool, *, apart: bool = False
) -> Network:
    """Raises ContainerFailed when no address range is left, or a network of that name exists.

    Without `apart` it is so all the same where this process could not use the host's address on it.
    """
    info = await client.info()
    apart = apart or info.sockets_inside
    async with client.asking("create the run's network"):
        if info.podman:
            made = await _create_podmans(client, run_id, home_label, internal=internal)
        elif apart and not internal:
            made = await _create_on_free(client, run_id, home_label)
        elif apart or (internal and client.api_number < WANTED_API):
            made = await _create_dead_end(client, run_id, home_label, apart=apart)
        else:
            made = await client.docker.networks.create(network_body(run_id, home_label, internal))
        found = await made.show()
    gateway, subnet = addresses(found)
    if apart:
        gateway = place_of_host(ipaddress.IPv4Network(subnet))
    return Network(network_name(run_id), made.id, gateway, subnet, internal, apart)


async def _create_dead_end(client: Client, run_id: str, home_label: str, *, apart: bool) -> DockerNetwork:
    async def make(subnet: ipaddress.IPv4Network) -> DockerNetwork:
        body = network_body(run_id, home_label, True, dead_end(subnet), apart=apart)
        return await client.docker.networks.create(body)

    return await _on_a_free_one(client, make)


async def _create_on_free(client: Client, run_id: str, home_label: str) -> DockerNetwork:
    """Only on a subnet that was asked for can a container's address be asked for."""

    async def make(subnet: ipaddress.IPv4Network) -> DockerNetwork:
        return await client.docker.networks.create(
            network_body(run_id, home_label, False, {"Subnet": str(subnet)})
        )

    return await _on_a_free_one(client, make)


async def _create_podmans(client: Client, run_id: str, home_label: str, *, internal: bool) -> DockerNetwork:
    labels = {RUN_LABEL: run_id, HOME_LABEL: home_label}

    async def make(subnet: ipaddress.IPv4Network) -> DockerNetwork:
        name, bridge = network_name(run_id), interface_name(run_id)
        made = await podman.create(
            client.docker, podman.podman_network(name, bridge, subnet, labels, internal=internal)
        )
        return DockerNetwork(client.docker, made)  # type: ignore[no-untyped-call]

    return await _on_a_free_one(client, make)


async def _on_a_free_one(
    client: Client, make: Callable[[ipaddress.IPv4Network], Awaitable[DockerNetwork]]
) -> DockerNetwork:
    taken = host_routes() + engine_subnets(await client.docker.networks.list())
    for subnet in islice(free_subnets(taken), _TRIES):
        try:
            return await make(subnet)
        except aiodocker.DockerError as error:
            if "overlap" not in error.message and "is already used" not in error.message:
                raise
    raise aiodocker.DockerError(403, "could not find a non-overlapping IPv4 address pool for the network")


def addresses(found: dict[str, Any]) -> tuple[str, str]:
    """The IPv4 gateway and subnet in `GET /networks/ID`.

    Some engines write the gateway with its prefix, some leave it out until a container joins; it is then
    the first address of the subnet, which is what the bridge driver takes.
    """
    for pool in (found.get("IPAM") or {}).get("Config") or ():
        try:
            subnet = ipaddress.IPv4Network(pool.get("Subnet", ""))
        except ValueError:
            continue
        gateway = str(pool.get("Gateway") or subnet.network_address + 1).partition("/")[0]
        return gateway, str(subnet)
    raise ContainerFailed(
        "Docker gave the run's network no IPv4 address",
        remedy="See default-address-pools in the configuration of the Docker daemon.",
    )


async def delete_network(docker: aiodocker.Docker, network: str) -> None:
    """By name or id. One that is gone already is fine."""
    try:
        await DockerNetwork(docker, network).delete()  # type: ignore[no-untyped-call]
    except aiodocker.DockerError as error:
        if error.status != 404:
            raise
