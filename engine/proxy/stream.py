"""mitmproxy's HTTP layer with the places taken over where a request could leave.

`GuardedStream.make_server_connection` is the one gate: without a permit that the decision put on the
flow, nothing is connected and nothing is sent. Bodies always stream; a refused one is never kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from mitmproxy import http
from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, events, layer, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import (
    DropStream,
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpLayer,
    HTTPMode,
    HttpStream,
    RegisterHttpConnection,
    SendHttp,
)
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpResponseHook
from mitmproxy.proxy.layers.tcp import TCPLayer
from mitmproxy.proxy.layers.tls import ServerTLSLayer

from engine.proxy.answers import INTERNAL, REASONS, Answer, upstream_failure
from engine.proxy.decoys import DecoySeen, RequestWatch
from engine.proxy.exchange import Exchange
from engine.proxy.freeze import CUT_OFF
from engine.proxy.http1 import StrictHttp1Client, StrictHttp1Server
from engine.proxy.http2 import Drained, WindowedHttp2Client, WindowedHttp2Server
from engine.proxy.scrub_response import UnreadableBody

EXCHANGE = "moat.exchange"
ANSWER = "moat.answer"
PERMIT = "moat.permit"


class Failure(str):
    """mitmproxy hands connection errors on as text; this text brings its answer along."""

    answer: Answer

    @classmethod
    def of(cls, answer: Answer) -> Failure:
        failure = cls(answer.rule)
        failure.answer = answer
        return failure


@dataclass
class DecoyHook(commands.StartHook):  # type: ignore[no-untyped-call]
    """The flow's request holds a decoy, or comes after one. The handler puts the answer on the flow."""

    flow: http.HTTPFlow


_MANY_CONNECTIONS = 16  # remembered per agent connection before closed ones are forgotten


class GuardedLayer(HttpLayer):
    """One HTTP connection of the agent and the upstream connections made for it."""

    def __init__(self, context: Context, mode: HTTPMode) -> None:
        super().__init__(context, mode)
        self._upstreams: dict[Server, _UpstreamHttp] = {}

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.Start):
            # HttpLayer keeps a server that is there already
            client = self.context.client
            kind = WindowedHttp2Server if client.alpn == b"h2" else StrictHttp1Server
            self.connections[client] = kind(self.context.fork())
        yield from super()._handle_event(event)
        yield from self._open_windows()

    def make_stream(self, stream_id: int) -> CommandGenerator[None]:
        self.streams[stream_id] = GuardedStream(self.context.fork(), stream_id)
        yield from self.event_to_child(self.streams[stream_id], events.Start())

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> CommandGenerator[None]:
        """An open connection to exactly this host, port and TLS, or a new one that names the host as SNI."""
        for connection in self.connections if reuse else ():
            if not event.connection_spec_matches(connection):
                continue
            if connection in self.waiting_for_establishment:
                self.waiting_for_establishment[connection].append(event)
                return
            if connection.connected and (self.context.client.alpn != b"h2" or connection.alpn == b"h2"):
                stream = self.command_sources.pop(event)
                yield from self.event_to_child(stream, GetHttpConnectionCompleted(event, (connection, None)))
                return
        self._forget_closed()
        context = self.context.fork()
        context.server = Server(address=event.address)
        stack = tunnel.LayerStack()
        if event.tls:
            context.server.sni = event.address[0]
            stack /= ServerTLSLayer(context)
        self._upstreams[context.server] = _UpstreamHttp(context)
        stack /= self._upstreams[context.server]
        self.connections[context.server] = stack[0]
        self.waiting_for_establishment[context.server].append(event)
        yield from self.event_to_child(stack[0], events.Start())

    def _forget_closed(self) -> None:
        """HTTP/2 to HTTP/1 takes a connection per request: a long session must not keep them all."""
        if len(self._upstreams) < _MANY_CONNECTIONS:
            return
        used = {stream.context.server for stream in self.streams.values()}
        for connection in [c for c in self._upstreams if c.timestamp_end is not None and c not in used]:
            del self._upstreams[connection]
            del self.connections[connection]

    def held_for_upstream(self) -> int:
        """Bytes of the agent's that were read and wait: bodies of paused streams, pipelined requests."""
        held = sum(_paused(stream) for stream in self.streams.values())
        server = self.connections.get(self.context.client)
        return held + (len(server.buf) if isinstance(server, StrictHttp1Server) else 0)

    def held_for_agent(self, upstream: Connection) -> int:
        """Bytes of an HTTP/1 upstream that an HTTP/2 agent has no window for."""
        server = self.connections.get(self.context.client)
        found = self._upstreams.get(upstream) if isinstance(upstream, Server) else None
        source = found.child if found else None
        if not isinstance(server, WindowedHttp2Server) or not isinstance(source, StrictHttp1Client):
            return 0
        return server.unsent(source.stream_id) if source.stream_id is not None else 0

    def _open_windows(self) -> CommandGenerator[None]:
        """Let HTTP/2 peers send more of the streams whose earlier bytes have gone on."""
        agent = self.connections.get(self.context.client)
        if isinstance(agent, WindowedHttp2Server):
            yield from self.event_to_child(agent, Drained(self._waiting_of_agent))
            for server, upstream in list(self._upstreams.items()):
                source = upstream.child
                if isinstance(source, WindowedHttp2Client) and server.connected:
                    theirs = source.their_stream_id
                    drained = Drained(lambda ours, theirs=theirs: agent.unsent(theirs.get(ours, 0)))  # type: ignore[misc]
                    yield from self.event_to_child(self.connections[server], drained)

    def _waiting_of_agent(self, stream_id: int) -> int:
        stream = self.streams.get(stream_id)
        if stream is None:
            return 0
        upstream = self._upstreams.get(stream.context.server)
        sink = upstream.child if upstream else None
        return _paused(stream) + (sink.waiting(stream_id) if isinstance(sink, WindowedHttp2Client) else 0)


def _paused(stream: HttpStream) -> int:
    return sum(len(event.data) for event in stream._paused_event_queue if isinstance(event, RequestData))


class _UpstreamHttp(layer.Layer):
    """Opens the connection, then speaks what TLS agreed on (as mitmproxy's HttpClient)."""

    child: layer.Layer | None = None

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        assert isinstance(event, events.Start)
        err: str | None = yield commands.OpenConnection(self.context.server)
        if not err:
            kind = WindowedHttp2Client if self.context.server.alpn == b"h2" else StrictHttp1Client
            self.child = kind(self.context)
            self._handle_event = self.child.handle_event  # type: ignore[method-assign]
            yield from self.child.handle_event(event)
        yield RegisterHttpConnection(self.context.server, err)


class GuardedStream(HttpStream):
    """One request and its response."""

    def make_server_connection(self) -> CommandGenerator[bool]:
        answer: Answer | None = self.flow.metadata.get(ANSWER)
        if answer is None and self.flow.metadata.get(PERMIT) is not True:
            answer = INTERNAL
        if answer is not None:
            yield from self._answer(answer)
            return False
        address = (self.flow.request.data.host, self.flow.request.data.port)
        connection, err = yield GetHttpConnection(address, self.flow.request.scheme == "https", None)
        if err:
            yield from self._answer(
                err.answer if isinstance(err, Failure) else upstream_failure(address[0], str(err))
            )
            return False
        self.context.server = self.flow.server_conn = connection
        return True

    def _answer(self, answer: Answer) -> CommandGenerator[None]:
        """Say so at once; what still comes of the request's body goes unread into nothing."""
        body = b"" if self.flow.request.method == "HEAD" else answer.body()
        self.flow.response = http.Response(
            http_version=b"HTTP/2.0" if self.flow.request.is_http2 else b"HTTP/1.1",
            status_code=answer.status,
            reason=b"" if self.flow.request.is_http2 else REASONS.get(answer.status, b""),
            headers=http.Headers(answer.headers()),
            content=None,
            trailers=None,
            timestamp_start=self.flow.request.timestamp_start,
            timestamp_end=self.flow.request.timestamp_start,
        )
        exchange: Exchange | None = self.flow.metadata.get(EXCHANGE)
        if exchange is not None:
            exchange.answer(answer)
        yield HttpResponseHook(self.flow)
        if (yield from self.check_killed(False)):
            return
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response, not body), self.context.client)
        if body:
            yield SendHttp(ResponseData(self.stream_id, body), self.context.client)
        yield DropStream(self.stream_id)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def state_stream_request_body(self, event: events.Event) -> CommandGenerator[None]:
        try:
            if isinstance(event, RequestTrailers) and (watch := self._watch()) is not None:
                watch.trailers(list(event.trailers.fields))
            yield from super().state_stream_request_body(event)
        except DecoySeen:
            yield from self._keep_back()

    def _keep_back(self) -> CommandGenerator[None]:
        """The request never becomes complete, and is answered when the alarm was written."""
        yield self._cut_upstream(CUT_OFF)
        yield DecoyHook(self.flow)
        if self.flow.response is None:
            yield from self._answer(self.flow.metadata[ANSWER])
        else:
            broken = ResponseProtocolError(self.stream_id, CUT_OFF, ErrorCode.GENERIC_SERVER_ERROR)
            yield from self.handle_protocol_error(broken)

    def _watch(self) -> RequestWatch | None:
        exchange: Exchange | None = self.flow.metadata.get(EXCHANGE)
        return exchange.watch if exchange is not None else None

    def start_response_stream(self) -> CommandGenerator[None]:
        answer: Answer | None = self.flow.metadata.get(ANSWER)
        if answer is None:
            yield from super().start_response_stream()
            return
        yield self._cut_upstream(answer.why)  # the response's head was such that its body must not be read
        yield from self._answer(answer)

    def state_stream_response_body(self, event: events.Event) -> CommandGenerator[None]:
        try:
            yield from super().state_stream_response_body(event)
        except UnreadableBody as error:
            yield self._cut_upstream(str(error))
            broken = ResponseProtocolError(self.stream_id, str(error), ErrorCode.GENERIC_SERVER_ERROR)
            yield from self.handle_protocol_error(broken)

    def _cut_upstream(self, why: str) -> SendHttp:
        cut = RequestProtocolError(self.stream_id, why, ErrorCode.CANCEL)
        return SendHttp(cut, self.context.server)

    def flow_done(self) -> CommandGenerator[None]:
        assert self.flow.response
        if self.flow.response.status_code != 101:
            yield from super().flow_done()
            return
        # A WebSocket passes as the bytes it is: mitmproxy's own layer would keep every message.
        self.flow.live = False
        self.child_layer = TCPLayer(self.context, ignore=True)
        self._handle_event = self.passthrough
        yield from self.child_layer.handle_event(events.Start())
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def passthrough(self, event: events.Event) -> CommandGenerator[None]:
        exchange: Exchange | None = self.flow.metadata.get(EXCHANGE)
        if exchange is not None and isinstance(event, RequestData | ResponseData):
            exchange.tunnelled(event.data, outwards=isinstance(event, RequestData))
            if exchange.watch is not None and isinstance(event, RequestData):
                try:
                    event = RequestData(event.stream_id, exchange.watch.frames(event.data))
                except DecoySeen:
                    exchange.error = CUT_OFF
                    yield commands.CloseConnection(self.context.server)
                    yield commands.CloseConnection(self.context.client)
                    return
                if not event.data:
                    return
            if exchange.scrubber is not None and isinstance(event, ResponseData):
                try:
                    event = ResponseData(event.stream_id, exchange.scrubber.frames(event.data))
                except UnreadableBody as error:
                    exchange.error = str(error)
                    yield commands.CloseConnection(self.context.server)
                    yield commands.CloseConnection(self.context.client)
                    return
                if not event.data:
                    return
        yield from super().passthrough(event)


class ClosedLayer(layer.Layer):
    """For what is neither TLS nor HTTP: the connection ends."""

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)


def http_layer(context: Context, *, in_tunnel: bool) -> GuardedLayer:
    return GuardedLayer(context, HTTPMode.transparent if in_tunnel else HTTPMode.regular)


__all__ = [
    "ANSWER",
    "EXCHANGE",
    "PERMIT",
    "ClosedLayer",
    "Failure",
    "GuardedLayer",
    "HttpEvent",
    "http_layer",
]
