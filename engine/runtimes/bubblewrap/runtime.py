"""bubblewrap as a Runtime. It has no engine: what it makes hangs on one keeper and dies with this process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from engine.errors import ContainerFailed, UsageError
from engine.runtimes.bubblewrap.container import Container, create_container
from engine.runtimes.bubblewrap.link import Link, open_link
from engine.runtimes.bubblewrap.processes import end_marked
from engine.runtimes.bubblewrap.program import NO_NAMESPACES, Program, find_program
from engine.runtimes.reach import ProxyReach, Wanted, connected
from engine.runtimes.spec import ContainerSpec, ImageFacts, Leftover, Network
from engine.runtimes.terms import Terms

ADDRESS, ADDRESS6 = "127.0.0.1", "::1"
_SUBNET = "127.0.0.0/8"


class BubblewrapRuntime:
    """As DockerRuntime: `async with BubblewrapRuntime.connect(os.environ) as …`, and RuntimeFailure."""

    quick = True
    builder = None

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._program = Program("")
        self._links: dict[str, Link] = {}  # by the run's id
        self._containers: dict[str, Container] = {}

    @classmethod
    def connect(cls, environ: Mapping[str, str]) -> BubblewrapRuntime:
        return cls(environ)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run_id in list(self._links):
            await self.remove_run(run_id)

    async def ensure_image(self, ref: str, say: Callable[[str], None]) -> None:
        """There are none. Raises UsageError for any."""
        if ref:
            raise UsageError(
                f"the runtime 'bubblewrap' has no images, and {ref} is one",
                remedy="Leave it out to use this machine's programs, or name a directory tree: --rootfs.",
            )

    async def image(self, ref: str) -> ImageFacts:
        """What runs is what is asked for."""
        return ImageFacts()

    async def create_network(
        self, run_id: str, home_label: str, internal: bool, *, apart: bool = False
    ) -> Network:
        """A network namespace that has only loopback, whatever is asked."""
        program = find_program()
        link = self._links[run_id] = open_link()
        try:
            await link.ask("network", program=program.path, libraries=program.libraries)
        except ContainerFailed as error:
            if "ermission" in error.detail or "not permitted" in error.detail or "No space" in error.detail:
                raise ContainerFailed(error.what, detail=error.detail, remedy=NO_NAMESPACES) from error
            raise
        except OSError as error:
            raise ContainerFailed("the run's network could not be made", detail=str(error)) from error
        return Network(f"moat-{run_id}", run_id, ADDRESS, _SUBNET, internal=True)

    async def terms(self, network: Network, requested: bool | None, uid: int, gid: int) -> Terms:
        """requested: gVisor, which is another runtime's. Raises UsageError when it is asked for."""
        if requested:
            raise UsageError(
                "gVisor is a sandbox of Docker's: the runtime 'bubblewrap' cannot use it",
                remedy="Leave out --sandbox (in agent.yaml: sandbox), or use the runtime 'docker'.",
            )
        reach = ProxyReach(ADDRESS, ADDRESS, {}, _SUBNET, own_address=True, alone=True)
        return Terms(sandbox="", reach=reach, user=f"{uid}:{gid}", mounts_sockets=True, shares_address=True)

    async def bind(self, network: Network, wanted: Sequence[Wanted]) -> list[socket.socket]:
        sockets = [(want.kind, want.port) for want in wanted]
        return await self._sockets(network, "bind", address=network.gateway, sockets=sockets)

    async def dial(self, network: Network, address: str, port: int) -> socket.socket:
        """What listens on `localhost` there may have taken IPv6's."""
        try:
            return await self._dial(network, socket.AF_INET, address, port)
        except ConnectionRefusedError:
            return await self._dial(network, socket.AF_INET6, ADDRESS6, port)

    async def _dial(self, network: Network, family: int, address: str, port: int) -> socket.socket:
        (sock,) = await self._sockets(network, "socket", family=family)
        return await connected(sock, address, port)

    async def _sockets(self, network: Network, op: str, **asked: object) -> list[socket.socket]:
        answer = await self._links[network.id].ask(op, (), **asked)
        made = [socket.socket(fileno=descriptor) for descriptor in answer.fds]
        for each in made:
            each.setblocking(False)
        return made

    async def remove_network(self, name: str) -> None:
        """It goes with the last that knows it."""

    async def create(self, spec: ContainerSpec) -> Container:
        container = await create_container(self._links[spec.network.id], spec)
        self._containers[spec.run_id] = container
        return container

    async def leftovers(self, home_label: str) -> list[Leftover]:
        """None: the kernel ends a sandbox with its supervisor."""
        return []

    async def remove_run(self, run_id: str, *, keep_container: bool = False) -> list[Leftover]:
        """End what there is of it. Another process's ended with that process, unless its keeper was killed
        too while it was being made.
        """
        container, link = self._containers.pop(run_id, None), self._links.pop(run_id, None)
        try:
            if container is not None:
                await container.remove()
        finally:
            if link is not None:
                await asyncio.shield(asyncio.ensure_future(link.close()))
            else:
                await asyncio.to_thread(end_marked, f"MOAT_RUN_ID={run_id}".encode())
        return []
