"""What runs left in the engine: finding it by label, and removing one run's whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterable
from typing import Any, Literal

import aiodocker
from aiodocker.containers import DockerContainer

from engine.runtimes.docker.client import Client
from engine.runtimes.docker.container import remove_container, unless_ended
from engine.runtimes.docker.network import delete_network
from engine.runtimes.spec import HOME_LABEL, RUN_LABEL, Leftover

NETWORK_TRIES = 20
NETWORK_PAUSE = 0.1  # seconds; an endpoint outlives its container by a few milliseconds


async def leftovers(client: Client, home_label: str) -> list[Leftover]:
    """Every container and network of one installation, live runs' too; the caller knows which those are."""
    return await _labelled(client, f"{HOME_LABEL}={home_label}")


async def remove_run(client: Client, run_id: str, *, keep_container: bool = False) -> list[Leftover]:
    """Kill and remove all of a run, containers first; returns what is gone now. Again and again is fine.

    With `keep_container` its containers are only killed, so that a person can look into them.
    """
    found = await _labelled(client, f"{RUN_LABEL}={run_id}")
    containers = [each for each in found if each.kind == "container"]
    networks = [each for each in found if each.kind == "network"]
    async with client.asking("remove what the run left"):
        if any(each.running for each in containers):  # a network goes only after its last running container
            await _all(_end(client, each, keep_container) for each in containers)
            await _all(_delete_network(client, each.id) for each in networks)
        else:
            await _all(
                [
                    *(_end(client, each, keep_container) for each in containers),
                    *(_delete_network(client, each.id) for each in networks),
                ]
            )
    return networks if keep_container else found


async def _end(client: Client, container: Leftover, keep: bool) -> None:
    docker = DockerContainer(client.docker, id=container.id)
    if not keep:
        await remove_container(docker)
    elif container.running:
        await unless_ended(docker.kill(signal="SIGKILL"))


async def _all(requests: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All at once and each to its end; then the first failure, if any, as itself and not in a group."""
    for outcome in await asyncio.gather(*requests, return_exceptions=True):
        if outcome is not None:
            raise outcome


async def _labelled(client: Client, label: str) -> list[Leftover]:
    """Containers, whatever their state, then networks."""
    async with client.asking("list what runs left"):
        containers = await client.docker.containers.list(all=1, filters=json.dumps({"label": [label]}))
        networks = await client.docker.networks.list(filters={"label": [label]})
    return [
        *(_leftover("container", each, each["Names"][0].lstrip("/")) for each in containers),
        *(_leftover("network", each, each["Name"]) for each in networks),
    ]


def _leftover(
    kind: Literal["container", "network"], found: DockerContainer | dict[str, Any], name: str
) -> Leftover:
    run_id = (found["Labels"] or {}).get(RUN_LABEL, "")
    return Leftover(kind, found["Id"], name, run_id, kind == "container" and found["State"] == "running")


async def remove_network(client: Client, network: str) -> None:
    async with client.asking("remove the run's network"):
        await _delete_network(client, network)


async def _delete_network(client: Client, network: str) -> None:
    """A container's endpoint may outlive it by a moment; until then Docker says the network is in use."""
    for tries_left in reversed(range(NETWORK_TRIES)):
        try:
            return await delete_network(client.docker, network)
        except aiodocker.DockerError as error:
            if "active endpoints" not in error.message or not tries_left:
                raise
        await asyncio.sleep(NETWORK_PAUSE)
