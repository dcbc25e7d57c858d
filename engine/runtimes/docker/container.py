"""One container, from its creation to its removal."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import aiodocker
from aiodocker.containers import DockerContainer
from aiodocker.networks import DockerNetwork

from engine.runtimes.docker.attach import Attachment, open_attachment
from engine.runtimes.docker.body import container_body, kept_body, refuse_engine_socket
from engine.runtimes.docker.client import ASK_TIMEOUT, Client
from engine.runtimes.docker.exec import Exec, open_exec
from engine.runtimes.docker.files import lacking_programs, place_files
from engine.runtimes.docker.podman import as_docker_would
from engine.runtimes.moved import refuse_moved
from engine.runtimes.spec import ContainerSpec, ExecSpec

ENGINE_SOCKETS = ("/var/run/docker.sock", "/run/containerd/containerd.sock")
REMOVE_TRIES = 10
REMOVE_PAUSE = 0.1  # seconds


class Container:
    """Made by `create_container`; attach before start, so that not a byte is missed."""

    def __init__(self, client: Client, found: DockerContainer, spec: ContainerSpec) -> None:
        self._client = client
        self._docker = found
        self._spec = spec
        self.left_out: tuple[str, ...] = ()  # of the spec's home_files: there was something already
        self.lacking: tuple[str, ...] = ()  # of the spec's programs: the image has none of that name

    @property
    def id(self) -> str:
        return self._docker.id

    async def attach(self) -> Attachment:
        return await open_attachment(
            self._client.address,
            self._client.api,
            self.id,
            stdin=self._spec.interactive,
            tty=self._spec.tty,
        )

    async def start(self) -> None:
        """Raises UsageError when a mount's source is no longer what was allowed, RuntimeFailure otherwise."""
        refuse_moved(self._spec.binds)
        async with self._client.asking("start the container", image=self._spec.image):
            await self._docker.start()

    async def exec(self, spec: ExecSpec) -> Exec:
        """Start a command beside the agent, as its user, in its directory and with its environment."""
        return await open_exec(self._client, self._docker, spec)

    async def wait(self) -> int:
        """The agent's exit code, however long it takes; 128 + n when signal n ended it. Only after start."""
        async with self._client.asking("wait for the container", timeout=None):
            ended = await self._docker.wait()
        return int(ended["StatusCode"])

    async def out_of_memory(self) -> bool:
        """Whether the kernel killed something in it for memory. Worth asking when the exit code is 137."""
        async with self._client.asking("look at the container"):
            found = await self._docker.show()
        return bool(found["State"].get("OOMKilled"))

    async def address(self) -> str:
        """Its IPv4 address on the run's network. Only after start."""
        async with self._client.asking("look at the container"):
            found = await self._docker.show()
        return str(found["NetworkSettings"]["Networks"][self._spec.network.name]["IPAddress"])

    async def image_id(self) -> str:
        """Of the image that it was made from, e.g. "sha256:…": a name may be another image tomorrow."""
        async with self._client.asking("look at the container"):
            found = await self._docker.show()
        return str(found["Image"])

    async def disconnect(self) -> None:
        """Take it off the run's network, its only one. One that has ended is fine."""
        async with self._client.asking("take the container off its network"):
            # aiodocker has no types here
            network = DockerNetwork(self._client.docker, self._spec.network.id)  # type: ignore[no-untyped-call]
            await unless_ended(network.disconnect({"Container": self.id, "Force": True}))

    async def stop(self, grace: float = 10) -> None:
        """TERM, then KILL after `grace` seconds (whole ones, at least 1). One that has ended is fine."""
        seconds = max(1, round(grace))
        async with self._client.asking("stop the container", timeout=seconds + ASK_TIMEOUT):
            await unless_ended(self._docker.stop(t=seconds))

    async def kill(self, signal: str = "SIGKILL") -> None:
        """Send a signal to the agent. One that has ended is fine."""
        async with self._client.asking("signal the container"):
            await unless_ended(self._docker.kill(signal=signal))

    async def remove(self) -> None:
        """Kill it if it runs and remove it with its anonymous volumes. One that is gone is fine."""
        async with self._client.asking("remove the container"):
            await remove_container(self._docker)

    async def resize(self, height: int, width: int) -> None:
        """The agent's terminal, in characters. Does nothing without one, or when the agent is not running."""
        if self._spec.tty and height > 0 and width > 0:
            async with self._client.asking("resize the agent's terminal", timeout=10):
                await unless_ended(self._docker.resize(h=height, w=width))


async def create_container(client: Client, spec: ContainerSpec) -> Container:
    """Raises UsageError for a mount of the engine's socket or of a place that has moved, RuntimeFailure for
    what the engine refuses.
    """
    refuse_moved(spec.binds)
    socket = client.address.removeprefix("unix://")
    refuse_engine_socket(spec.binds, [*ENGINE_SOCKETS, *([socket] if socket.startswith("/") else [])])
    body = container_body(spec)
    if spec.kept:
        body = kept_body(body, (await client.info()).runtimes)
    if (await client.info()).podman:
        body = as_docker_would(body)
    async with client.asking("create the container", image=spec.image):
        made = await client.docker.containers.create(body, name=spec.name)
    container = Container(client, made, spec)
    try:
        async with client.asking("put files into the container"):
            container.left_out = await place_files(made, spec)
            container.lacking = await lacking_programs(made, spec.programs)
    except BaseException:
        await asyncio.shield(container.remove())
        raise
    return container


async def remove_container(found: DockerContainer) -> None:
    """A removal that somebody else finished, or is at, is as good as ours."""
    for tries_left in reversed(range(REMOVE_TRIES)):
        try:
            return await found.delete(force=True, v=True)
        except aiodocker.DockerError as error:
            if error.status == 404 or (error.status == 409 and "in progress" in error.message):
                return
            # Podman kills nothing that ends by itself in the same moment, and takes that for a failure.
            if "state improper" not in error.message or not tries_left:
                raise
        await asyncio.sleep(REMOVE_PAUSE)


async def unless_ended(request: Coroutine[Any, Any, None]) -> None:
    """404: no such container; 409: it is not running (any more)."""
    try:
        await request
    except aiodocker.DockerError as error:
        if error.status not in (404, 409):
            raise
