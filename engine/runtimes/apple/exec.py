"""A command beside the agent, in its container.

`container` cannot signal one that runs, so a shell in the container does, for every process that has the
command's mark in its environment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from engine.runtimes.apple.process import Attached
from engine.runtimes.apple.staging import START
from engine.runtimes.apple.tool import Tool
from engine.runtimes.marks import SIGNAL_SCRIPT
from engine.runtimes.spec import ExecSpec, Stream


class Exec:
    """Made by `open_exec`. Iterating gives its output until every process of it has closed it."""

    def __init__(self, tool: Tool, container: str, spec: ExecSpec, attached: Attached) -> None:
        self._tool = tool
        self._container = container
        self._spec = spec
        self._attached = attached
        self.write = attached.streams.write
        self.close_stdin = attached.streams.close_stdin
        self.close = attached.close

    def __aiter__(self) -> AsyncIterator[tuple[Stream, bytes]]:
        return self._attached.streams.__aiter__()

    async def resize(self, height: int, width: int) -> None:
        if self._spec.tty:
            self._attached.resize(height, width)

    async def signal(self, name: str) -> None:
        """Send a signal ("INT", "HUP" …) to every process of it. The image must have sh and grep."""
        words = ("/bin/sh", "-c", SIGNAL_SCRIPT, "sh", name, self._spec.mark)
        await self._tool.ask("signal the command", "exec", self._container, *words)

    async def wait(self) -> int:
        return await self._attached.wait()


async def open_exec(tool: Tool, container: str, spec: ExecSpec) -> Exec:
    """Start it. Raises RuntimeFailure; a command that does not exist ends by itself with 126 or 127."""
    attached = Attached(tool, stdin=spec.stdin, tty=spec.tty)
    options = [
        *(["--interactive"] if spec.stdin or spec.tty else []),
        *(["--tty"] if spec.tty else []),
    ]
    env = [f"{name}={value}" for name, value in spec.env.items()]
    words = ("exec", *options, container, "/bin/sh", START, *env, spec.mark, "--", *spec.command)
    try:
        await attached.begin(*words)
    except BaseException:
        await attached.close()
        raise
    return Exec(tool, container, spec, attached)
