"""One container, from its creation to its removal."""

from __future__ import annotations

import asyncio
import contextlib

from engine.errors import ContainerFailed, RuntimeFailure, RuntimeUnavailable
from engine.runtimes.apple.answers import State, read_containers
from engine.runtimes.apple.errors import explain
from engine.runtimes.apple.exec import Exec, open_exec
from engine.runtimes.apple.process import Attached
from engine.runtimes.apple.staging import PLACE, Ids, Staging, left_out, stage
from engine.runtimes.apple.tool import ASK_TIMEOUT, Tool
from engine.runtimes.apple.words import create_words
from engine.runtimes.moved import refuse_moved
from engine.runtimes.spec import ContainerSpec, ExecSpec, ImageFacts
from engine.runtimes.streams import Streams

_LOOK = 0.05  # seconds between two looks at whether it runs


class Container:
    """Made by `create_container`. left_out is known once it has started."""

    def __init__(self, tool: Tool, spec: ContainerSpec, staging: Staging) -> None:
        self._tool = tool
        self._spec = spec
        self._staging = staging
        self._attached = Attached(tool, stdin=spec.interactive, tty=spec.tty)
        self.left_out: tuple[str, ...] = ()
        self.lacking: tuple[str, ...] = ()  # nobody asks here: there is no Docker engine to be a client of

    @property
    def id(self) -> str:
        return self._spec.name

    async def attach(self) -> Streams:
        return self._attached.streams

    async def start(self) -> None:
        """Raises UsageError when a mount's source is no longer what was allowed, RuntimeFailure otherwise."""
        refuse_moved(self._spec.binds)
        interactive = ("--interactive",) if self._spec.interactive else ()
        await self._attached.begin("start", "--attach", *interactive, self.id)
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                await self._until_it_runs()
                said = await self._put_files()
        except TimeoutError as error:
            raise RuntimeUnavailable(
                f"the container did not start within {ASK_TIMEOUT:g} s",
                remedy="See `container system logs`, then try again.",
            ) from error
        self.left_out = left_out(said)

    async def _until_it_runs(self) -> None:
        """Until it does, the agent has not begun: it waits for its files."""
        while (await self._look()).state != "running":
            if self._attached.ended:
                raise await self._why_it_ended()
            await asyncio.sleep(_LOOK)

    async def _put_files(self) -> bytes:
        ids = Ids.of(self._spec.user)
        try:
            return await self._tool.ask(
                "put files into the container",
                *("exec", "--user", "0:0", "--workdir", "/", self.id, "/bin/sh", PLACE, ids.uid, ids.gid),
            )
        except ContainerFailed as error:
            if (await self._look()).state == "running":
                raise
            raise await self._why_it_ended() from error  # it ran for a moment; the cause is its own

    async def _why_it_ended(self) -> RuntimeFailure:
        code = await self._attached.wait()
        return explain("start the container", code, await self._attached.last_words())

    async def exec(self, spec: ExecSpec) -> Exec:
        """Start a command beside the agent, as its user, in its directory and with its environment."""
        return await open_exec(self._tool, self.id, spec)

    async def wait(self) -> int:
        """The agent's exit code, however long it takes. Only after start.

        The program that carries its streams ends with that code, and with 1 when it lost the container; which
        of the two it was is asked of the services.
        """
        code = await self._attached.wait()
        if (await self._look()).state == "running":
            raise ContainerFailed(
                "Apple's `container` let go of the agent, which still runs",
                detail=f"it ended with {code}",
                remedy="See `container system logs`.",
            )
        return code

    async def _look(self) -> State:
        found = await self._tool.ask("look at the container", "inspect", self.id, missing_is_fine=True)
        return next((each for each in read_containers(found) if each.name == self.id), State())

    async def out_of_memory(self) -> bool:
        """Not known: the tool does not tell."""
        return False

    async def address(self) -> str:
        return (await self._look()).address

    async def image_id(self) -> str:
        """Not known: nobody here has had to ask."""
        return ""

    async def disconnect(self) -> None:
        """A virtual machine keeps its network as long as it lives, so that ends."""
        await self.kill()

    async def stop(self, grace: float = 10) -> None:
        """TERM, then KILL after `grace` seconds (whole ones, at least 1). One that has ended is fine."""
        seconds = max(1, round(grace))
        words = ("stop", "--signal", "SIGTERM", "--time", str(seconds), self.id)
        await self._unless_ended("stop the container", *words, timeout=seconds + ASK_TIMEOUT)

    async def kill(self, signal: str = "SIGKILL") -> None:
        """Send a signal to the agent. One that has ended is fine."""
        await self._unless_ended("signal the container", "kill", "--signal", signal, self.id)

    async def _unless_ended(self, doing: str, *words: str, timeout: float = ASK_TIMEOUT) -> None:
        try:
            await self._tool.ask(doing, *words, timeout=timeout, missing_is_fine=True)
        except ContainerFailed:
            if (await self._look()).state == "running":
                raise

    async def remove(self) -> None:
        """Kill it if it runs and remove it. One that is gone is fine."""
        try:
            await remove_container(self._tool, self.id)
        finally:
            await self.close()

    async def close(self) -> None:
        """Let go of what this process has of it: the program that carries its streams, and its files."""
        await self._attached.close()
        await self._staging.remove()

    async def resize(self, height: int, width: int) -> None:
        """The agent's terminal, in characters. Does nothing without one."""
        if self._spec.tty:
            self._attached.resize(height, width)


async def create_container(tool: Tool, spec: ContainerSpec, image: ImageFacts) -> Container:
    """Raises UsageError for a mount that has moved or cannot be written down, RuntimeFailure."""
    refuse_moved(spec.binds)
    capabilities, init = await tool.takes("--cap-drop", "create"), await tool.takes("--init", "create")
    if spec.network.internal and not capabilities:
        raise RuntimeUnavailable(
            "the policies 'strict' and 'ask' need a newer release of Apple's `container`",
            detail="This one cannot take the right to change its routes from a container (--cap-drop).",
            remedy="Update it: github.com/apple/container/releases; or use --policy permissive.",
        )
    staging = await stage(spec)
    container = Container(tool, spec, staging)
    try:
        words = create_words(spec, image, str(staging.directory), capabilities=capabilities, init=init)
        await tool.ask("create the container", *words, image=spec.image)
    except BaseException:
        await asyncio.shield(asyncio.ensure_future(_undo(container)))
        raise
    return container


async def _undo(container: Container) -> None:
    with contextlib.suppress(RuntimeFailure):
        await container.remove()


async def remove_container(tool: Tool, name: str) -> None:
    await tool.ask("remove the container", "delete", "--force", name, missing_is_fine=True)
