"""A tunnel to an SSH server of a grant: dialled at the CONNECT, cut unless both sides speak SSH.

Nothing of a side passes before its first bytes have shown that; then bytes leave in the call that brings
them, and a side that reads slowly stops the other from being read.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.proxy.decision import Decision
from engine.proxy.destination import Destination
from engine.proxy.exchange import Exchange
from engine.proxy.http1_head import HEAD_TIMEOUT, Head
from engine.proxy.lane.heads import answer_wire
from engine.proxy.lane.link import Link
from engine.proxy.lane.upstreams import NotReached, dial
from engine.proxy.ssh import SSH, speaks_ssh

if TYPE_CHECKING:
    from engine.proxy.lane.session import Services

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_MAX_AHEAD = 64 * 1024  # bytes of a side that may wait for the other; enough to tell whether it is SSH


async def serve_ssh(agent: Link, head: Head, server: Destination, services: Services) -> None:
    """Answer the CONNECT of `head`, which was judged, and carry what follows. The agent's link stays open."""
    admission = services.admission
    exchange = Exchange(admission.redactor, "CONNECT", str(server), server.host)
    exchange.sent(head.fields)
    _hold_back(agent)
    try:
        link, writer = await dial(services.dialer, (server.host, server.port))
        _hold_back(link)
        try:
            await admission.passed(exchange, SSH)
            agent.write(ESTABLISHED)
            # while it was dialled the run may have ended, or its network been frozen
            stranger = "" if agent.closing else await SshTunnel(agent, link, exchange).carry()
            if stranger:
                message = f"The tunnel to {server} was cut: {stranger} does not speak SSH."
                exchange.error = message
                await admission.refused(exchange, Decision(False, server, rule="not-ssh", message=message))
        finally:
            writer.close()
    except NotReached as error:
        exchange.answer(error.answer)
        agent.write(answer_wire(error.answer, head))
    finally:
        agent.ignore()
        await services.records.put(exchange)


def _hold_back(link: Link) -> None:
    """Until it is listened to, little of what it says is taken."""

    def came() -> None:
        if len(link.buffer) > _MAX_AHEAD:
            link.pause()

    link.changed = came
    came()


@dataclass(slots=True)
class _Side:
    name: str
    link: Link
    shown: bool = False  # whether it has begun as SSH does


class SshTunnel:
    """`carry` it once. Bytes are counted in `exchange`."""

    def __init__(self, agent: Link, server: Link, exchange: Exchange) -> None:
        self._agent = _Side("the client", agent)
        self._server = _Side("the server", server)
        self._exchange = exchange
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def carry(self) -> str:
        """Until either side ends. Returns what did not speak SSH; empty when both did."""
        loop = asyncio.get_running_loop()
        silence = loop.call_later(HEAD_TIMEOUT, self._silent)
        links = (self._agent.link, self._server.link)
        for link in links:
            link.changed = self._moved
        try:
            self._moved()
            return await self._over
        finally:
            silence.cancel()
            for link in links:
                link.ignore()

    def _moved(self) -> None:
        for source, sink in ((self._agent, self._server), (self._server, self._agent)):
            if self._over.done():
                return
            self._pass_on(source, sink.link)
        if not self._over.done() and (self._agent.link.ended or self._server.link.ended):
            self._over.set_result("")

    def _pass_on(self, source: _Side, sink: Link) -> None:
        link = source.link
        if not source.shown:
            shown = speaks_ssh(link.buffer)
            if shown is None:
                return
            if not shown:
                self._over.set_result(source.name)
                return
            source.shown = True
        if link.buffer:
            data = bytes(link.buffer)
            link.buffer.clear()
            self._exchange.tunnelled(data, outwards=source is self._agent)
            sink.write(data)
        if sink.full:
            link.pause()
        else:
            link.resume()

    def _silent(self) -> None:
        if not self._over.done():
            late = next((side.name for side in (self._agent, self._server) if not side.shown), "")
            if late:
                self._over.set_result(late)
