"""A command beside the agent, in its sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

from engine.errors import ContainerFailed
from engine.runtimes.bubblewrap.link import Link
from engine.runtimes.bubblewrap.processes import marked
from engine.runtimes.spec import ExecSpec, Stream
from engine.runtimes.streams import Ends, Streams


class Exec:
    """Made by `open_exec`. Iterating gives its output until every process of it has closed it."""

    def __init__(self, streams: Streams, life: asyncio.Future[int | None], mark: str) -> None:
        self._streams = streams
        self._life = life
        self._mark = mark.encode()
        self.write = streams.write
        self.close_stdin = streams.close_stdin
        self.close = streams.close

    def __aiter__(self) -> AsyncIterator[tuple[Stream, bytes]]:
        return self._streams.__aiter__()

    async def resize(self, height: int, width: int) -> None:
        self._streams.resize(height, width)

    async def signal(self, name: str) -> None:
        """Send a signal ("INT", "HUP" …) to every process of it."""
        for process in await asyncio.to_thread(marked, self._mark):
            with contextlib.suppress(OSError):
                os.kill(process, signal.Signals[f"SIG{name}"])

    async def wait(self) -> int:
        code = await asyncio.shield(self._life)
        assert code is not None  # it is a process of the keeper's, not bubblewrap's
        return code


async def open_exec(link: Link, spec: ExecSpec, inside: dict[str, Any]) -> Exec:
    """inside: of the sandbox, as the keeper's `exec` wants it. Raises RuntimeFailure; a command that does not
    exist ends by itself with 126 or 127.
    """
    name, _, value = spec.mark.partition("=")
    asked = {
        **inside,
        "env": {**inside["env"], **spec.env, name: value},
        "command": spec.command,
        "tty": spec.tty,
    }
    ends = None if spec.tty else Ends(stdin=spec.stdin, tty=False)
    try:
        answer = await link.ask("exec", ends.theirs if ends else (), **asked)
    except OSError as error:
        raise ContainerFailed("the command could not be started in the sandbox", detail=str(error)) from error
    finally:
        streams = ends.streams() if ends else None
    if streams is None:
        (master,) = answer.fds
        streams = Streams(master, {master: "stdout"}, terminal=True)
    return Exec(streams, link.life(answer.id), spec.mark)
