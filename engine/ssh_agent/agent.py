"""The agent that a container talks to: frames in, the gatekeeper's verdicts, frames out.

It holds no key. What the gatekeeper lets through is asked of the person's own agent, one connection a
question, so nothing of one client's session is ever seen by another's.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Protocol

from engine.errors import MoatError
from engine.ssh_agent.gatekeeper import Gatekeeper, SshEvent, SshGrant
from engine.ssh_agent.messages import FAILURE, is_signature
from engine.ssh_agent.wire import MAX_MESSAGE, uint32

ASK_TIMEOUT = 60.0  # seconds for the person's agent: it may wait for a touch or a passphrase
RECORD_TIMEOUT = 10.0  # seconds for the audit log to make an entry durable
IDLE_TIMEOUT = 3600.0  # seconds a client may say nothing
MAX_CLIENTS = 64  # connections of one run at a time; more are closed unread


class SshRecorder(Protocol):
    async def ssh(self, event: SshEvent) -> None:
        """Returns when the entry is durable; any error it raises refuses the request."""


class AgentUnavailable(Exception):
    """The person's own agent did not give a proper answer."""


class SshAgent:
    """One per run. `serve` is handed each connection that was accepted for it."""

    def __init__(self, grants: tuple[SshGrant, ...], recorder: SshRecorder, upstream: Path) -> None:
        """upstream: the socket of the person's agent (their SSH_AUTH_SOCK)."""
        self._grants = grants
        self._recorder = recorder
        self._upstream = upstream
        self._clients = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the client goes. Raises nothing: a broken client ends its own connection only."""
        if self._clients >= MAX_CLIENTS:
            writer.transport.abort()
            return
        self._clients += 1
        gatekeeper = Gatekeeper(self._grants)
        try:
            while (message := await _read(reader, IDLE_TIMEOUT)) is not None:
                answer = await self._answer(gatekeeper, message)
                writer.write(uint32(len(answer)) + answer)
                await writer.drain()
        except (OSError, TimeoutError):
            pass
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(self, gatekeeper: Gatekeeper, message: bytes) -> bytes:
        verdict = gatekeeper.judge(message)
        if verdict.event is not None and not await self._recorded(verdict.event):
            return FAILURE
        if not verdict.ask:
            return verdict.reply
        try:
            answer = await ask(self._upstream, verdict.ask)
        except AgentUnavailable:
            return FAILURE
        if verdict.listing:
            return gatekeeper.granted_only(answer)
        return answer if is_signature(answer) else FAILURE

    async def _recorded(self, event: SshEvent) -> bool:
        try:
            async with asyncio.timeout(RECORD_TIMEOUT):
                await self._recorder.ssh(event)
        except (MoatError, TimeoutError, OSError):
            return False
        return True


async def ask(agent: Path, message: bytes) -> bytes:
    """One question to the agent at this socket. Raises AgentUnavailable."""
    try:
        async with asyncio.timeout(ASK_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(agent)
            try:
                writer.write(uint32(len(message)) + message)
                await writer.drain()
                answer = await _read(reader, ASK_TIMEOUT)
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise AgentUnavailable(str(error) or "it did not answer in time") from error
    if not answer:
        raise AgentUnavailable("it closed the connection")
    return answer


async def _read(reader: asyncio.StreamReader, timeout: float) -> bytes | None:
    """The next message without its length; None at the end, and for a length that no message has."""
    async with asyncio.timeout(timeout):
        with contextlib.suppress(asyncio.IncompleteReadError):
            size = int.from_bytes(await reader.readexactly(4), "big")
            if 0 < size <= MAX_MESSAGE:
                return await reader.readexactly(size)
    return None
