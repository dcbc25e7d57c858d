"""Containers beside the agent: on its run's network, for its run's life, found there by a name.

They are the run's as much as the agent is: the same runtime, nothing of the host, no credential, no token of
the proxy's. What they print is read, so that none waits in a write, and only its end is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import msgspec

from engine.audit import EntryData, container
from engine.errors import ContainerFailed, HomeError, RuntimeFailure
from engine.home import Home
from engine.run.records.output import LineSplitter
from engine.run.whole import whole
from engine.runtimes import Attachment, Container, ContainerSpec, ExecSpec, Runtime

if TYPE_CHECKING:
    from engine.proxy.mask import Masker

    class SidecarRecorder(Protocol):
        """Whoever keeps the run's audit log."""

        @property
        def masker(self) -> Masker: ...
        async def note(self, entry: EntryData) -> None: ...


ACTION = "sidecar"  # of the container entries that tell of one
READY_TIMEOUT = 120.0  # seconds; a server that cannot start ends long before, and that is seen at once

_ASK = 10.0  # seconds that one question whether it is ready may take
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds between two of them
_QUIET, _STILL = 2.0, 20.0  # seconds of waiting before it is said, and said again
_LINES, _LINE = 200, 1000  # kept of what it printed: lines, and characters of one
_TOLD, _TOLD_LINE = 3, 160  # of these in a message
_NOT_THERE = (126, 127)  # exit codes of a command that the image does not have …
_MISSES = 3  # … when it is so time and again: in a container that is just ending it looks the same


class SidecarSpec(msgspec.Struct, frozen=True, kw_only=True):
    """name: the host name that the agent reaches it by. title: for messages, e.g. "the service postgres".
    ready: a command that, run in it, ends with 0 once it can be used. wait: whether the agent waits for that.
    proxied: whether the run's proxy listens to it; what it then sends counts as the agent's.
    """

    name: str
    title: str
    container: ContainerSpec
    ready: tuple[str, ...]
    wait: bool = True
    proxied: bool = False


class Sidecar:
    def __init__(self, spec: SidecarSpec, made: Container, attachment: Attachment) -> None:
        self.spec = spec
        self.container = made
        self.attachment = attachment
        self.address = ""
        self.lines: deque[str] = deque(maxlen=_LINES)
        self.read = asyncio.Event()  # all that it printed
        self.ended = asyncio.Event()
        self.exit_code = 0
        self.not_there = 0
        self.given_up = False
        self.out_of_memory = False

    @property
    def last_words(self) -> str:
        lines = [line for line in self.lines if line.strip()][-_TOLD:]
        return " | ".join(" ".join(line.split())[:_TOLD_LINE] for line in lines)

    @property
    def end(self) -> str:
        """As a sentence goes on after its title."""
        limit = self.spec.container.memory_mb
        why = f", out of memory (its limit is {limit} MB)" if self.out_of_memory else ""
        return f"ended with exit code {self.exit_code}{why}"


class Sidecars:
    """`async with`, from before the agent is made until it has ended; those of one run. Their containers are
    the caller's to remove, by the run's label.
    """

    def __init__(
        self, home: Home, run_id: str, recorder: SidecarRecorder, lost: Callable[[str, str], None]
    ) -> None:
        """lost: told of one that ended while the agent runs: in short, and all there is to say."""
        self._home = home
        self._run_id = run_id
        self._recorder = recorder
        self._lost = lost
        self._all: list[Sidecar] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._group = asyncio.TaskGroup()
        self._begun = asyncio.Event()  # the agent may start: what ends from now on has to be said

    @property
    def hosts(self) -> dict[str, str]:
        """Name -> address, of all that have started."""
        return {each.spec.name: each.address for each in self._all}

    @property
    def strangers(self) -> tuple[str, ...]:
        """The addresses that the run's proxy does not listen to."""
        return tuple(each.address for each in self._all if not each.spec.proxied)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        try:
            await self._group.__aexit__(None, None, None)  # what went wrong outside is not the group's
        finally:
            for each in self._all:
                await each.attachment.close()

    async def start(self, engine: Runtime, spec: SidecarSpec, say: Callable[[str], None]) -> None:
        """Have its image, make it and start it; `ready` waits until it can be used. Raises RuntimeFailure."""
        await engine.ensure_image(spec.container.image, say)
        made = await whole(engine.create(spec.container))
        each = Sidecar(spec, made, await made.attach())
        self._all.append(each)
        self._tasks.append(self._group.create_task(self._read(each), name=f"moat {spec.title}"))
        await made.start()
        self._tasks.append(self._group.create_task(self._mind(each), name=f"moat {spec.title}, its end"))
        each.address = await made.address()
        if not each.address:  # it has ended already
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ASK):
                    await each.ended.wait()
            raise await self._failed(each)
        image = f"image {spec.container.image}, image id {await made.image_id()}"
        await self._recorder.note(container(ACTION, reason=f"{spec.name} started, {image}"))

    async def ready(self, say: Callable[[str], None]) -> None:
        """Wait for those that are to be waited for. Raises ContainerFailed, in a group."""
        async with asyncio.TaskGroup() as group:
            for each in self._all:
                if each.spec.wait:
                    group.create_task(self._ready(each, say))
        self._begun.set()

    async def until_ready(self, name: str, say: Callable[[str], None]) -> None:
        """Wait for one that has started, whoever else would. Raises ContainerFailed."""
        await self._ready(self._named(name), say)

    async def exit_code(self, name: str, command: tuple[str, ...]) -> int | None:
        """Of a command that was run in one; None when it could not be run to its end."""
        return await self._run(self._named(name), command)

    def container_id(self, name: str) -> str:
        return self._named(name).container.id

    async def give_up(self, name: str) -> None:
        """Remove one that the run does without; one that never started is fine. Its end is not told."""
        for each in [each for each in self._all if each.spec.name == name]:
            each.given_up = True
            self._all.remove(each)
            await each.container.remove()
            await each.attachment.close()

    async def disconnect(self) -> None:
        """Take all of them off the run's network. Raises the first RuntimeFailure after all were tried."""
        problem: RuntimeFailure | None = None
        for each in self._all:
            try:
                await each.container.disconnect()
            except RuntimeFailure as error:
                problem = problem or error
        if problem is not None:
            raise problem

    async def _ready(self, each: Sidecar, say: Callable[[str], None]) -> None:
        clock = asyncio.get_running_loop().time
        began, pause, quiet = clock(), _FIRST_PAUSE, _QUIET
        while not each.ended.is_set():
            if await self._answers(each):
                if quiet != _QUIET:
                    say(f"{each.spec.title} is ready")
                return
            waited = clock() - began
            if waited > READY_TIMEOUT:
                raise await self._failed(each, f"was not ready within {READY_TIMEOUT:g} s")
            if waited > quiet:
                say(f"waiting for {each.spec.title}")
                quiet = waited + _STILL
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await each.ended.wait()
            pause = min(_LONGEST_PAUSE, pause * 1.5)
        raise await self._failed(each)

    def _named(self, name: str) -> Sidecar:
        return next(each for each in self._all if each.spec.name == name)

    async def _run(self, each: Sidecar, command: tuple[str, ...]) -> int | None:
        mark = f"MOAT_EXEC_ID={secrets.token_hex(16)}"
        asked = ExecSpec(command=command, mark=mark, stdin=False)
        try:
            async with asyncio.timeout(_ASK):
                running = await each.container.exec(asked)
                try:
                    async for _ in running:
                        pass
                    return await running.wait()
                finally:
                    await running.close()
        except (RuntimeFailure, TimeoutError):
            return None

    async def _answers(self, each: Sidecar) -> bool:
        """Ask once. A question that fails is a no: whether it has ended is seen elsewhere."""
        code = await self._run(each, each.spec.ready)
        each.not_there = each.not_there + 1 if code in _NOT_THERE else 0
        if each.not_there == _MISSES:
            image = each.spec.container.image
            raise ContainerFailed(
                f"{each.spec.title} cannot be asked whether it is ready: {image} has no {each.spec.ready[0]}",
                remedy="Use an image that behaves as the official one.",
            )
        return code == 0

    async def _read(self, each: Sidecar) -> None:
        """Keep the end of what it prints, without the run's secrets and without what a terminal obeys."""
        masker = self._recorder.masker
        splitters = {
            stream: LineSplitter(lambda text: self._recorder.masker.mask(text), masker.longest)
            for stream in ("stdout", "stderr")
        }
        try:
            with contextlib.suppress(RuntimeFailure):
                async for stream, data in each.attachment:
                    each.lines += map(_plain, splitters[stream].feed(data))
            for splitter in splitters.values():
                each.lines += map(_plain, splitter.finish())
        finally:
            each.read.set()

    async def _mind(self, each: Sidecar) -> None:
        """Learn of its end, and say it once the agent runs. Cancelled at the agent's own end."""
        try:
            each.exit_code = await each.container.wait()
            each.out_of_memory = await each.container.out_of_memory()
        except RuntimeFailure:
            return  # the engine is gone, and the agent with it: that is told
        each.ended.set()
        await self._begun.wait()
        if each.given_up:
            return
        failure = await self._failed(each)
        what = f"{each.spec.name} {each.end}"
        await self._recorder.note(container(ACTION, reason=what))
        self._lost(what, str(failure))

    async def _failed(self, each: Sidecar, what: str = "") -> ContainerFailed:
        """what: as a sentence goes on after its title; empty when it has ended."""
        if not what:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ASK):
                    await each.read.wait()
        words, kept = each.last_words, self._keep(each)
        return ContainerFailed(
            f"{each.spec.title} {what or each.end}",
            detail=f"It said last: {words}" if words else "It said nothing.",
            remedy=f"More of what it said is in {kept}" if words and kept else "",
        )

    def _keep(self, each: Sidecar) -> str:
        """Write what is left of its output into the run's directory; the path, or "" when it cannot be."""
        path = self._home.run(self._run_id) / f"{each.spec.name}.log"
        try:
            self._home.write(path, "".join(f"{line}\n" for line in each.lines).encode())
        except HomeError:
            return ""
        return str(path)


def _plain(line: str) -> str:
    return "".join(char if char.isprintable() else " " for char in line[:_LINE])
