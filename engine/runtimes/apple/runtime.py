"""Apple containers as a Runtime: a face over this folder's modules."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from engine.errors import ImageUnavailable, RuntimeUnavailable, UsageError
from engine.runtimes.apple.answers import (
    container_leftover,
    network_leftover,
    of_home,
    only,
    read_containers,
    read_image,
    read_networks,
)
from engine.runtimes.apple.container import Container, create_container, remove_container
from engine.runtimes.apple.errors import explain, is_missing
from engine.runtimes.apple.staging import remove_staged
from engine.runtimes.apple.tool import PULL_TIMEOUT, Tool, forwards_packets, open_tool
from engine.runtimes.apple.words import label_words
from engine.runtimes.reach import ProxyReach, Wanted, bind_here, dial_here
from engine.runtimes.spec import HOME_LABEL, RUN_LABEL, ContainerSpec, ImageFacts, Leftover, Network
from engine.runtimes.terms import Terms

# The gateway's address is this machine's only while a container runs on its network.
EVERY_ADDRESS = "0.0.0.0"


class AppleRuntime:
    """As DockerRuntime: `async with AppleRuntime.connect(os.environ) as …`, and RuntimeFailure."""

    quick = False
    builder = None

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._images: dict[str, ImageFacts] = {}
        self._containers: dict[str, Container] = {}  # by the run's id

    @classmethod
    def connect(cls, environ: Mapping[str, str]) -> AppleRuntime:
        return cls(environ)

    async def __aenter__(self) -> Self:
        self._tool: Tool = await open_tool(self._environ)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for container in self._containers.values():
            await container.close()

    async def ensure_image(self, ref: str, say: Callable[[str], None]) -> None:
        """`say` gets a line for what takes time."""
        if not await self._image_is_here(ref):
            say(f"pulling image {ref}")
            await self._tool.ask("pull the image", "image", "pull", ref, timeout=PULL_TIMEOUT, image=ref)
            if not await self._image_is_here(ref):
                raise ImageUnavailable(
                    f"the image {ref} was pulled and is not here",
                    remedy=f"See `container image inspect {ref}`.",
                )

    async def image(self, ref: str) -> ImageFacts | None:
        return self._images[ref] if await self._image_is_here(ref) else None

    async def _image_is_here(self, ref: str) -> bool:
        doing = "look at the image"
        code, output, complaint = await self._tool.run(doing, "image", "inspect", ref)
        if code == 0:
            self._images[ref] = read_image(output)
            return True
        message = complaint.decode(errors="replace")
        if is_missing(message) or "image inspect failed" in message:
            return False
        raise explain(doing, code, message)

    async def create_network(
        self, run_id: str, home_label: str, internal: bool, *, apart: bool = False
    ) -> Network:
        """The run's own. `internal`: this machine is all that its containers reach. `apart` is for engines
        whose networks can do without an address of this machine's.
        """
        name = f"moat-{run_id}"
        labels = label_words({RUN_LABEL: run_id, HOME_LABEL: home_label})
        only_host = ["--internal"] if internal else []
        doing = "make a network without a way out" if internal else "make the run's network"
        await self._tool.ask(doing, "network", "create", *only_host, *labels, name)
        listed = await self._tool.ask("look at the run's network", "network", "inspect", name)
        made = only(read_networks(listed), name)
        if internal and made.routed and await asyncio.to_thread(forwards_packets):
            await self.remove_network(name)
            raise RuntimeUnavailable(
                "the policies 'strict' and 'ask' cannot be kept here: an agent could pass by the proxy",
                detail="This Mac forwards packets (net.inet.ip.forwarding), also those of internal networks:"
                " github.com/apple/container/issues/2062.",
                remedy="Turn it off (sudo sysctl -w net.inet.ip.forwarding=0), or use --policy permissive.",
            )
        return Network(name, name, made.gateway, made.subnet, internal)

    async def terms(self, network: Network, requested: bool | None, uid: int, gid: int) -> Terms:
        """requested: gVisor, which is another runtime's. Raises UsageError when it is asked for."""
        if requested:
            raise UsageError(
                "gVisor is a sandbox of Docker's: Apple containers cannot use it",
                remedy="Leave out --sandbox (in agent.yaml: sandbox), or use the runtime 'docker'.",
            )
        return Terms(
            sandbox="",
            reach=ProxyReach(network.gateway, EVERY_ADDRESS, {}, network.subnet),
            user=f"{uid}:{gid}",
            mounts_sockets=False,
            remark="--no-sandbox changes nothing for Apple containers: each is a virtual machine"
            if requested is False
            else "",
        )

    async def bind(self, network: Network, wanted: Sequence[Wanted]) -> list[socket.socket]:
        return bind_here(EVERY_ADDRESS, wanted)

    async def dial(self, network: Network, address: str, port: int) -> socket.socket:
        return await dial_here(address, port)

    async def remove_network(self, name: str) -> None:
        """Once no container refers to it; one that is gone is fine."""
        await self._tool.ask("remove the run's network", "network", "delete", name, missing_is_fine=True)

    async def create(self, spec: ContainerSpec) -> Container:
        """A container that has not started. The image must be here."""
        if spec.image not in self._images and not await self._image_is_here(spec.image):
            raise explain("find the image", 1, "notFound", image=spec.image)
        made = await create_container(self._tool, spec, self._images[spec.image])
        self._containers[spec.run_id] = made
        return made

    async def leftovers(self, home_label: str) -> list[Leftover]:
        """Whatever one installation has here, running or not, containers first."""
        return await self._labelled(lambda labels: of_home(labels, home_label))

    async def remove_run(self, run_id: str, *, keep_container: bool = False) -> list[Leftover]:
        """Kill and remove a run's containers, then its network; or only kill: a container that stays keeps
        its network. Returns what is gone now.
        """
        own = self._containers.pop(run_id, None)
        try:
            return await self._remove_found(run_id, keep_container)
        finally:
            if own is not None:
                await own.close()
            await asyncio.to_thread(remove_staged, run_id)

    async def _remove_found(self, run_id: str, keep_container: bool) -> list[Leftover]:
        found = await self._labelled(lambda labels: labels.get(RUN_LABEL) == run_id)
        gone = []
        for left in found:
            if left.kind == "network":
                if not keep_container:
                    await self.remove_network(left.name)
                    gone.append(left)
            elif not keep_container:
                await remove_container(self._tool, left.name)
                gone.append(left)
            elif left.running:
                await self._tool.ask("kill the container", "kill", left.name, missing_is_fine=True)
        return gone

    async def _labelled(self, wanted: Callable[[Mapping[str, str]], bool]) -> list[Leftover]:
        doing = "list what runs left"
        containers = await self._tool.ask(doing, "list", "--all", "--format", "json")
        networks = await self._tool.ask(doing, "network", "list", "--format", "json")
        return [
            *(container_leftover(each) for each in read_containers(containers) if wanted(each.labels)),
            *(network_leftover(each) for each in read_networks(networks) if wanted(each.labels)),
        ]
