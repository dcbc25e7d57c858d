"""One admitted request and its response, between two links, streamed both ways as it comes.

Everything happens in the links' own callbacks: bytes that arrive leave in the same call. A side that reads
slowly stops the other from being read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

from engine.proxy.decoys import DecoySeen
from engine.proxy.exchange import Exchange
from engine.proxy.freeze import CUT_OFF
from engine.proxy.http1_head import Head
from engine.proxy.http1_response import (
    MAX_HINTS,
    BadResponse,
    find_end,
    parse_response,
)
from engine.proxy.inject import HeaderList, returnable
from engine.proxy.lane.body import Body, chunk, last_chunk
from engine.proxy.lane.link import Link
from engine.proxy.scrub_response import UnreadableBody

_MAX_AHEAD = 64 * 1024  # bytes of later requests that are read while this one is served
# of a body whose response is complete already: passed on, so that the client gets to see the answer
_MAX_IGNORED = 64 * 1024 * 1024


class End(Enum):
    DONE = "both messages are complete"
    STALE = "the upstream closed without a byte of response"
    FAILED = "the upstream's response cannot be passed on, and nothing of it was"
    UNREADABLE = "the same, because it cannot be searched for credentials"
    CUT = "it broke off in the middle"
    DECOY = "the request holds a decoy, which stays here with all that comes after it"


class Relay:
    """`ended` says how it ended; then `reusable` whether the upstream's link may serve another request,
    `closes` whether the agent's link must be closed, `problem` what was wrong, and `request` what of the
    request's body is still to come.
    """

    def __init__(
        self,
        agent: Link,
        upstream: Link,
        head: Head,
        exchange: Exchange,
        trailers: Callable[[HeaderList], HeaderList],
    ) -> None:
        """trailers: what of the request's trailers may follow."""
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.reusable = False
        self.closes = head.closes
        self.problem = ""
        self._agent = agent
        self._upstream = upstream
        self._head = head
        self._exchange = exchange
        self._trailers = trailers
        self.request = Body(head.length)
        self._watch = exchange.watch
        self._response: Body | None = None
        self._switched = False
        self._chunked = False  # whether the agent gets the response's body in chunks
        self._answered = False  # whether the agent has all of the response
        self._hints = 0
        self._heard = False
        self._ignored = 0

    def start(self, wire_head: bytes) -> None:
        """`wire_head` is what goes to the upstream before the body."""
        begin = b"" if self.request.done else self._of_request()
        if self.ended.done() and self.ended.result() is End.DECOY:
            return
        self._upstream.write(wire_head + begin)
        if not self.ended.done():
            self._agent.changed = self._from_agent
            self._upstream.changed = self._from_upstream
            self._from_agent()
            self._from_upstream()

    def stop(self) -> None:
        """The links belong to somebody else again."""
        for link in (self._agent, self._upstream):
            if link.changed in (self._from_agent, self._from_upstream):
                link.ignore()

    # -- from the agent --------------------------------------------------------------------------

    def _from_agent(self) -> None:
        if self.ended.done():
            return
        agent, upstream = self._agent, self._upstream
        if self._switched:
            if agent.buffer:
                data = bytes(agent.buffer)
                agent.buffer.clear()
                self._exchange.tunnelled(data, outwards=True)
                upstream.write(data if self._watch is None else self._searched(self._watch.frames, data))
        elif not self.request.done:
            if data := self._of_request():
                upstream.write(data)
            if self.ended.done():
                return
        if agent.ended:
            self._end(End.CUT)
            return
        if agent.full:
            upstream.pause()
        else:
            upstream.resume()
        self._hold_agent()

    def _hold_agent(self) -> None:
        ahead = (self.request.done and not self._switched) and len(self._agent.buffer) > _MAX_AHEAD
        if ahead or self._upstream.full:
            self._agent.pause()
        else:
            self._agent.resume()

    def _of_request(self) -> bytes:
        body = self.request
        data = body.take(self._agent.buffer)
        if body.broken:
            self._misframed()
        if data:
            self._exchange.request.see(data)
        if self._watch is not None:
            data = self._searched(self._watch.body, data)
            if body.done:
                data += self._searched(self._watch.last, body.trailers)
            if self.ended.done():
                return b""
        if self._response is not None and self._response.done:
            self._ignored += len(data)
            if self._ignored > _MAX_IGNORED:
                self._end(End.CUT)
        out = chunk(data) if body.chunked else data
        if body.done:
            if body.chunked:
                out += last_chunk(self._trailers(body.trailers))
            self._maybe_done()
        return out

    def _searched[Piece](self, search: Callable[[Piece], bytes], piece: Piece) -> bytes:
        if self.ended.done():
            return b""
        try:
            return search(piece)
        except DecoySeen:
            self._fail(CUT_OFF, End.DECOY)
            return b""

    # -- from the upstream -----------------------------------------------------------------------

    def _from_upstream(self) -> None:
        if self.ended.done():
            return
        agent, upstream = self._agent, self._upstream
        out = b""
        if self._switched:
            if upstream.buffer:
                out = self._of_tunnel()
        elif self._response is None:
            if upstream.buffer:
                self._heard = True
                try:
                    out = self._read_head()
                except BadResponse as error:
                    self._fail(str(error), End.FAILED)
                    return
                except UnreadableBody as error:
                    self._fail(str(error), End.CUT if self._exchange.status == 101 else End.UNREADABLE)
                    return
        else:
            out = self._of_response(self._response)
        if out:
            agent.write(out)
        if self.ended.done():
            return
        if upstream.ended:
            self._upstream_ended()
            return
        if upstream.full:
            agent.pause()
        else:
            self._hold_agent()
        if agent.full:
            upstream.pause()
        else:
            upstream.resume()

    def _read_head(self) -> bytes:
        """The head for the agent and what is there of the body; b"" while the head is not complete."""
        buffer = self._upstream.buffer
        while True:
            end = find_end(buffer)
            if not end:
                return b""
            head = parse_response(bytes(buffer[:end]), self._head.method)
            del buffer[:end]
            if head.status >= 200 or head.status == 101:
                break
            self._hints += 1  # 100 and 103 are hints between us and the upstream
            if self._hints > MAX_HINTS:
                raise BadResponse("the upstream sends hints without end")
        exchange = self._exchange
        exchange.answered(head.status, head.fields)
        if head.status == 101 and not exchange.upgrade:
            self._fail("the upstream switched protocols without being asked", End.CUT)
            return b""
        reason, fields = head.reason, returnable(head.fields)
        if exchange.scrubber is not None:
            reason, fields = exchange.scrubber.head(self._head.method, head.status, reason, fields)
        self._response = body = Body(head.length)
        if head.status == 101:
            return wire_head(head.version, 101, reason, fields) + self._switch()
        version, self._chunked = head.version, body.chunked
        if _coded_anew(head.fields, fields):
            version, self._chunked = b"HTTP/1.1", True
            fields = _with(fields, b"transfer-encoding", b"chunked")
        self.closes = self.closes or head.closes or head.length == -1
        self.reusable = not head.closes and head.length != -1
        if self._head.closes:
            fields = _with(fields, b"connection", b"close")
        return wire_head(version, head.status, reason, fields) + self._of_response(body)

    def _of_response(self, body: Body) -> bytes:
        if self._answered:
            return b""
        scrubber = self._exchange.scrubber
        data = body.take(self._upstream.buffer)
        if body.broken:
            self._misframed()
        try:
            if data:
                self._exchange.response.see(data)
                if scrubber is not None and not scrubber.verbatim:
                    data = scrubber.body(data)
            if not body.done:
                return chunk(data) if self._chunked else data
            trailers = body.trailers
            if scrubber is not None:
                data += scrubber.end()
                trailers = scrubber.trailers(trailers)
        except UnreadableBody as error:
            self._fail(str(error), End.CUT)
            return b""
        self._answered = True
        self._maybe_done()
        return chunk(data) + last_chunk(trailers) if self._chunked else data

    def _switch(self) -> bytes:
        self._switched = self.closes = True
        if self._agent.buffer:
            asyncio.get_running_loop().call_soon(self._from_agent)
        return self._of_tunnel()

    def _of_tunnel(self) -> bytes:
        data = bytes(self._upstream.buffer)
        self._upstream.buffer.clear()
        self._exchange.tunnelled(data, outwards=False)
        if self._exchange.scrubber is None:
            return data
        try:
            return self._exchange.scrubber.frames(data)
        except UnreadableBody as error:
            self._fail(str(error), End.CUT)
            return b""

    def _upstream_ended(self) -> None:
        if self._switched:
            self._end(End.DONE)
        elif self._response is None:
            self.problem = "the upstream closed the connection before it answered"
            self._end(End.FAILED if self._heard else End.STALE)
        elif not self._response.done:
            self._response.end()
            self._agent.write(self._of_response(self._response))
        else:
            self.closes = True  # the rest of the request has nowhere to go
            self._end(End.DONE)

    # -- the end ---------------------------------------------------------------------------------

    def _maybe_done(self) -> None:
        if self.request.done and self._response is not None and self._response.done:
            self._end(End.DONE)

    def _misframed(self) -> None:
        self._fail("a body that is not framed as announced", End.CUT)

    def _fail(self, problem: str, how: End) -> None:
        self.problem = problem
        self._end(how)

    def _end(self, how: End) -> None:
        if not self.ended.done():
            if how is End.DONE:
                self._exchange.end()  # whoever closes now, having everything, breaks nothing off
            self.reusable = self.reusable and how is End.DONE and not self._upstream.buffer
            self.ended.set_result(how)


def wire_head(version: bytes, status: int, reason: bytes, fields: HeaderList) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"%b %d %b\r\n%b\r\n" % (version, status, reason, lines)


def _coded_anew(came: HeaderList, fields: HeaderList) -> bool:
    """Whether the scrubber took the length away, because it decodes the body and encodes it again."""
    return _has_length(came) and not _has_length(fields)


def _has_length(fields: HeaderList) -> bool:
    return any(name.lower() == b"content-length" for name, _ in fields)


def _with(fields: HeaderList, wanted: bytes, only: bytes) -> HeaderList:
    """With `only` as the one value of `wanted`, in the place of its first field, or last."""
    out: HeaderList = []
    placed = False
    for name, value in fields:
        if name.lower() != wanted:
            out.append((name, value))
        elif not placed:
            placed = True
            out.append((name, only))
    return out if placed else [*out, (wanted, only)]
