"""A command beside the agent, in its container.

Docker has no way to signal it: `docker exec` cannot either. So every process of it is found by a mark in
its environment, and the signal is sent by a shell in the container. The process id that Docker tells is
the host's, which under gVisor is no process of the container at all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
from aiodocker.containers import DockerContainer
from aiodocker.execs import Exec as DockerExec

from engine.errors import RuntimeFailure
from engine.runtimes.docker.attach import Attachment, open_streams, upgrade_request
from engine.runtimes.docker.client import Client
from engine.runtimes.marks import SIGNAL_SCRIPT
from engine.runtimes.spec import ExecSpec, Stream

_ASK = 10.0  # seconds
_FIRST_LOOK, _LONGEST_PAUSE = 0.02, 0.5  # seconds between looks at whether the command has ended

# Docker waits for these keys on a terminal's input. The request is JSON, so they have to be ASCII, and
# the first one is held back until the next key: ctrl-\ is the one least missed alone.
_NO_DETACH_KEYS = "ctrl-\\,ctrl-^,ctrl-\\,ctrl-^"


class Exec:
    """Made by `open_exec`. Iterating gives its output until every process of it has closed it."""

    def __init__(
        self,
        client: Client,
        container: DockerContainer,
        made: DockerExec,
        spec: ExecSpec,
        streams: Attachment,
    ) -> None:
        self._client = client
        self._container = container
        self._made = made
        self._spec = spec
        self._streams = streams
        self.write = streams.write
        self.close_stdin = streams.close_stdin
        self.close = streams.close

    def __aiter__(self) -> AsyncIterator[tuple[Stream, bytes]]:
        return self._streams.__aiter__()

    async def resize(self, height: int, width: int) -> None:
        """Its terminal, in characters. Does nothing without one, or when it does not run."""
        if self._spec.tty and height > 0 and width > 0:
            with contextlib.suppress(RuntimeFailure):
                async with self._client.asking("resize the command's terminal", timeout=_ASK):
                    await self._made.resize(h=height, w=width)

    async def signal(self, name: str) -> None:
        """Send a signal ("INT", "HUP" …) to every process of it. The image must have sh and grep."""
        async with self._client.asking("signal the command", timeout=_ASK):
            command = ["/bin/sh", "-c", SIGNAL_SCRIPT, "sh", name, self._spec.mark]
            sender = await self._container.exec(command, stdout=False, stderr=False)
            await sender.start(detach=True)

    async def wait(self) -> int:
        """Its exit code. It has ended when its output has, or does a moment later."""
        pause = _FIRST_LOOK
        while True:
            async with self._client.asking("look at the command", timeout=_ASK):
                found = await self._made.inspect()
            if not found["Running"] and found["ExitCode"] is not None:
                return int(found["ExitCode"])
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)


async def open_exec(client: Client, container: DockerContainer, spec: ExecSpec) -> Exec:
    """Start it. Raises RuntimeFailure; a command that does not exist ends by itself with 126 or 127."""
    name, _, value = spec.mark.partition("=")
    async with client.asking("run a command in the container"):
        made = await container.exec(
            list(spec.command),
            stdin=spec.stdin,
            tty=spec.tty,
            environment={**spec.env, name: value},
            detach_keys=_NO_DETACH_KEYS,
        )
    body = msgspec.json.encode({"Detach": False, "Tty": spec.tty})
    request = upgrade_request(f"/{client.api}/exec/{made.id}/start", body)
    streams = await open_streams(client.address, request, "command", tty=spec.tty)
    return Exec(client, container, made, spec, streams)
