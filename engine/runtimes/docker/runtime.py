"""Docker as a Runtime: a face over this folder's modules, one connection pool for all of them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec

from engine.errors import RuntimeUnavailable
from engine.runtimes.docker import image, network, reap
from engine.runtimes.docker.broadcast import deafen
from engine.runtimes.docker.builder import DockerBuilder
from engine.runtimes.docker.client import Client, open_client
from engine.runtimes.docker.container import Container, create_container
from engine.runtimes.docker.network import bridge_of
from engine.runtimes.docker.own_socket import with_engine_socket
from engine.runtimes.reach import Wanted, bind_here, dial_here, proxy_reach
from engine.runtimes.spec import ContainerSpec, EngineInfo, ImageFacts, Leftover, Network
from engine.runtimes.terms import Terms, engine_terms


class DockerRuntime:
    """`async with DockerRuntime.connect(os.environ) as docker:`. Every method raises RuntimeFailure."""

    quick = False

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._open = contextlib.AsyncExitStack()

    @classmethod
    def connect(cls, environ: Mapping[str, str]) -> DockerRuntime:
        """The engine that DOCKER_HOST names, else this machine's own; entering it costs one round trip."""
        return cls(environ)

    async def __aenter__(self) -> Self:
        self._client: Client = await self._open.enter_async_context(open_client(self._environ))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def info(self) -> EngineInfo:
        """Asked once, then remembered."""
        return await self._client.info()

    async def ensure_image(self, ref: str, say: Callable[[str], None]) -> None:
        """`say` gets a line for what takes time."""
        await image.ensure_image(self._client, ref, say)

    async def image(self, ref: str) -> ImageFacts | None:
        return await image.image_facts(self._client, ref)

    @property
    def builder(self) -> DockerBuilder:
        return DockerBuilder(self._client)

    async def create_network(
        self, run_id: str, home_label: str, internal: bool, *, apart: bool = False
    ) -> Network:
        """The run's own bridge; its gateway address is up, and can be listened on, when this returns, unless
        it is apart.
        """
        return await network.create_network(self._client, run_id, home_label, internal, apart=apart)

    async def terms(self, network: Network, requested: bool | None, uid: int, gid: int) -> Terms:
        info = await self.info()
        terms = engine_terms(info, network, requested, uid, gid)
        terms = with_engine_socket(terms, self._client.address, info)
        # A rootless engine's bridge is in a namespace of its own, where nothing of this machine listens.
        if network.apart and network.internal and info.platform == "linux" and not info.rootless:
            return msgspec.structs.replace(terms, remark=deafen(bridge_of(network)))
        return terms

    async def bind(self, network: Network, wanted: Sequence[Wanted]) -> list[socket.socket]:
        info = await self.info()
        if info.sockets_inside:
            raise RuntimeUnavailable(
                "the proxy's sockets could not be made on the run's network",
                detail="With Podman or a rootless engine only a container of Moat's base image makes them.",
                remedy="Run `moat doctor --fix`, which makes that image, or use the system's Docker engine.",
            )
        return bind_here(proxy_reach(info, network).bind, wanted)

    async def dial(self, network: Network, address: str, port: int) -> socket.socket:
        """Only where the network is not apart: this machine then has an address on it."""
        return await dial_here(address, port)

    async def remove_network(self, name: str) -> None:
        """By name or id, once no container is on it; one that is gone is fine."""
        await reap.remove_network(self._client, name)

    async def create(self, spec: ContainerSpec) -> Container:
        """A container that has not started. The image must be here."""
        return await create_container(self._client, spec)

    async def leftovers(self, home_label: str) -> list[Leftover]:
        """Whatever one installation has in the engine, running or not, containers first."""
        return await reap.leftovers(self._client, home_label)

    async def remove_run(self, run_id: str, *, keep_container: bool = False) -> list[Leftover]:
        """Kill and remove a run's containers, then its network; or only kill, and remove the network.

        Returns what is gone now.
        """
        return await reap.remove_run(self._client, run_id, keep_container=keep_container)
