"""One sandbox, from its making to its end. bubblewrap sets it up, then waits before it starts the agent."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import platform
import random
import signal
from functools import partial

import msgspec

from engine.errors import ContainerFailed, RuntimeFailure
from engine.runtimes.bubblewrap.exec import Exec, open_exec
from engine.runtimes.bubblewrap.link import Answer, Link, close_all
from engine.runtimes.bubblewrap.processes import agent_of
from engine.runtimes.bubblewrap.seccomp import agent_filter, kernel_filter
from engine.runtimes.bubblewrap.system import System
from engine.runtimes.bubblewrap.words import build_words, environment_of, home_of
from engine.runtimes.home_files import own_files
from engine.runtimes.spec import ContainerSpec, ExecSpec
from engine.runtimes.streams import Ends, Streams

_DIE = 10.0  # seconds that the kernel may take to end every process of a sandbox
_BEGIN = 10.0  # seconds that bubblewrap may take from the start to the agent's first breath
_PAUSE = 0.005  # seconds between two looks
_LAST_WORDS = 2.0  # seconds until what bubblewrap complained of is given up
_OWN = (
    5  # descriptors in front of those that the words name: three streams, and both ends of what holds it up
)


class Rules(msgspec.Struct, frozen=True):
    """What is on every process of the sandbox. limits: by name in `resource`; cpus: the processors for it."""

    kernel_filter: str
    agent_filter: str
    limits: dict[str, int]
    cpus: tuple[int, ...]


class Container:
    """Made by `create_container`."""

    def __init__(
        self,
        link: Link,
        spec: ContainerSpec,
        answer: Answer,
        rules: Rules,
        streams: Streams,
        release: int,
        left_out: tuple[str, ...],
    ) -> None:
        self._link = link
        self._spec = spec
        self._first = answer.first
        self._life = link.life(answer.id)
        self._rules = rules
        self._streams = streams
        self._release = release
        self.left_out = left_out
        self.lacking: tuple[str, ...] = ()  # nobody asks here: there is no Docker engine to be a client of
        self._process = os.pidfd_open(answer.first)

    @property
    def id(self) -> str:
        return self._spec.name

    async def attach(self) -> Streams:
        return self._streams

    async def start(self) -> None:
        if self._release >= 0:
            os.write(self._release, b"g")
            os.close(self._release)
            self._release = -1

    async def exec(self, spec: ExecSpec) -> Exec:
        """Start a command beside the agent, as its user, in its directory and with its environment."""
        await self._agent()  # by then all of the sandbox is there to be entered
        rules = msgspec.to_builtins(self._rules)
        return await open_exec(
            self._link,
            spec,
            {
                "first": self._first,
                "directory": self._spec.workdir,
                "env": environment_of(self._spec),
                **rules,
            },
        )

    async def wait(self) -> int:
        """The agent's exit code, however long it takes; 128 + n when signal n ended it. Only after start."""
        code = await asyncio.shield(self._life)
        if code is None:
            await self._streams.over(_LAST_WORDS)
            raise self._never_began()
        return code

    def _never_began(self) -> ContainerFailed:
        said = self._streams.last_words.decode(errors="replace").strip().rpartition("bwrap: ")[2]
        command = self._spec.command[0]
        if said.startswith("execvp"):
            return ContainerFailed(
                f"the agent's command could not be run: {said.removeprefix('execvp ')}",
                remedy=f"See whether {command} is below /usr here, or in the directory of --rootfs.",
            )
        return ContainerFailed(
            "bubblewrap could not make the sandbox",
            detail=said or "it was killed",
            remedy="moat doctor says what this system lacks.",
        )

    async def out_of_memory(self) -> bool:
        """Not known: nothing here is told of it."""
        return False

    async def address(self) -> str:
        return self._spec.network.gateway

    async def image_id(self) -> str:
        """There are no images."""
        return ""

    async def stop(self, grace: float = 10) -> None:
        """TERM to the agent, then KILL after `grace` seconds. One that has ended is fine."""
        await self.kill("SIGTERM")
        done, _ = await asyncio.wait({asyncio.ensure_future(asyncio.shield(self._life))}, timeout=grace)
        if not done:
            await self.kill()

    async def kill(self, signal_name: str = "SIGKILL") -> None:
        """Send a signal to the agent. One that has ended is fine."""
        if self._life.done():
            return
        agent = await self._agent() if self._release < 0 else None
        with contextlib.suppress(ProcessLookupError):
            if agent is not None:
                os.kill(agent, signal.Signals[signal_name])
            else:  # it has not begun
                signal.pidfd_send_signal(self._process, signal.SIGKILL)

    async def _agent(self) -> int | None:
        """Its process, once bubblewrap has started it; None when it has ended, or never began."""
        end = asyncio.get_running_loop().time() + _BEGIN
        while not self._life.done() and asyncio.get_running_loop().time() < end:
            found = await asyncio.to_thread(agent_of, self._first)
            if found is not None:
                return found
            await asyncio.sleep(_PAUSE)
        return None

    async def remove(self) -> None:
        """End every process of it. One that is gone is fine."""
        if self._process < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        await self._gone()
        close_all([self._process, *([self._release] if self._release >= 0 else [])])
        self._process = self._release = -1

    async def _gone(self) -> None:
        """The first process ends last: by then the kernel has ended all others of its namespace."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._process, ended.set)
        try:
            async with asyncio.timeout(_DIE):
                await ended.wait()
        except TimeoutError:
            raise ContainerFailed(
                f"the sandbox's processes did not end within {_DIE:g} s",
                remedy="A process waits for a device or a network disk; it ends when that answers.",
            ) from None
        finally:
            loop.remove_reader(self._process)

    async def disconnect(self) -> None:
        """From what is not the proxy: there is nothing."""

    async def resize(self, height: int, width: int) -> None:
        """The agent's terminal, in characters. Does nothing without one."""
        self._streams.resize(height, width)


async def create_container(link: Link, spec: ContainerSpec) -> Container:
    """A sandbox whose agent has not started. Raises UsageError for a mount that has moved, RuntimeFailure."""
    rules = _rules(spec)
    own = await own_files(spec, home_of(spec), made=True, exists=partial(_exists, System(spec.rootfs)))
    words = await asyncio.to_thread(build_words, spec, own, bytes.fromhex(rules.agent_filter), _OWN)
    ends = Ends(stdin=spec.interactive, tty=spec.tty)
    held, release = os.pipe()
    streams = None
    try:
        words.add("--block-fd")
        words.words.append({"fd": _OWN - 1})
        answer = await link.ask(
            "start",
            (*ends.theirs, release, held, *words.fds),
            words=words.words,
            command=spec.command,
            env=environment_of(spec),
            tty=spec.tty,
            **msgspec.to_builtins(rules),
        )
        streams = ends.streams()
        if answer.exited:
            raise await _refused(streams)
        return Container(link, spec, answer, rules, streams, release, own.left_out)
    except BaseException as error:
        os.close(release)
        if streams is not None:
            await streams.close()
        if isinstance(error, OSError):
            raise ContainerFailed("the sandbox could not be made", detail=str(error)) from error
        raise
    finally:
        os.close(held)
        words.close()


async def _exists(system: System, path: str) -> bool:
    return os.path.lexists(system.root + system.resolved(path))


async def _refused(streams: Streams) -> RuntimeFailure:
    async for _ in streams:
        pass
    said = streams.last_words.decode(errors="replace").strip()
    return ContainerFailed(
        "bubblewrap could not make the sandbox",
        detail=said.removeprefix("bwrap: "),
        remedy="moat doctor says what this system lacks.",
    )


def _rules(spec: ContainerSpec) -> Rules:
    machine = platform.machine()
    limits = {"RLIMIT_NPROC": spec.pids_limit, "RLIMIT_CORE": 0}
    if spec.memory_mb is not None:
        limits["RLIMIT_DATA"] = spec.memory_mb << 20
    cpus: tuple[int, ...] = ()
    if spec.cpus is not None:
        here = sorted(os.sched_getaffinity(0))
        cpus = tuple(random.sample(here, min(len(here), math.ceil(spec.cpus))))
    return Rules(kernel_filter(machine).hex(), agent_filter(machine).hex(), limits, cpus)
