"""A small container beside the agent's that has the ports which this process may not bind.

It sits on the run's own network, without privileges, and forwards to the supervisor: peers still come
from the run's subnet, and nothing about what may pass is decided in it.
"""

from __future__ import annotations

import asyncio
from importlib import resources

from engine.errors import ContainerFailed
from engine.home import Home
from engine.proxy.transparent import NAMES_PORT, TransparentSockets
from engine.run.spec import RunSpec
from engine.run.whole import whole
from engine.runtimes import ContainerSpec, Network, PlacedFile, Runtime, home_label

IMAGE = "moat-base:bookworm"  # made by `moat doctor --fix`, never pulled; it has python3
READY_TIMEOUT = 15.0  # seconds from its start until it listens
_PLACE = "/moat/port_relay.py"
_PAUSE = 0.05  # seconds between two looks


async def start_port_relay(
    home: Home,
    spec: RunSpec,
    engine: Runtime,
    network: Network,
    sockets: TransparentSockets,
) -> str:
    """Its address, once it listens. Raises RuntimeFailure; the caller removes it by the run's label."""
    ports = (str(sock.getsockname()[1]) for sock in (sockets.http, sockets.https, sockets.tcp))
    script = resources.files("engine.run").joinpath("in_container", "port_relay.py").read_bytes()
    container = await whole(
        engine.create(
            ContainerSpec(
                run_id=spec.id,
                home_label=home_label(home.root),
                name=f"moat-{spec.id}-relay",
                image=IMAGE,
                network=network,
                command=("python3", "-I", _PLACE, sockets.address, *ports),
                workdir="/",
                files=(PlacedFile(_PLACE, script),),
                user="65534:65534",
                # gVisor gives low ports to nobody without a capability; what runs here is this code alone
                sandbox="standard",
                memory_mb=128,
                pids_limit=64,
            )
        )
    )
    await container.start()
    address = await container.address()
    try:
        async with asyncio.timeout(READY_TIMEOUT):
            while True:
                if await _listens(address):
                    return address
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        raise ContainerFailed("the run's port relay did not begin to listen in time") from None


async def _listens(address: str) -> bool:
    try:
        _, writer = await asyncio.open_connection(address, NAMES_PORT)
    except OSError:
        return False
    writer.close()
    return True
