"""One agent connection, from accept to close: mitmproxy's layers, our decisions.

mitmproxy's layers do the protocols and ask through hooks; the table at the end answers them. There is no
addon manager, no global option and no log line: a hook that fails ends its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, cast

from mitmproxy import flow as mflow
from mitmproxy import http
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer, server_hooks
from mitmproxy.proxy.layers import tls as tls_layers
from mitmproxy.proxy.layers.http import _hooks as hooks
from mitmproxy.proxy.layers.modes import HttpProxy

from engine.proxy import answers, scrubbing
from engine.proxy.admission import Admission
from engine.proxy.answers import Answer
from engine.proxy.decision import Decision, RequestHead
from engine.proxy.destination import BadDestination, Destination, normalise_host
from engine.proxy.dial import Dialer
from engine.proxy.entry import Entry, named_by_sni
from engine.proxy.exchange import Exchange
from engine.proxy.freeze import CUT_OFF
from engine.proxy.heads import head_of, url_of
from engine.proxy.http1 import HeadedRequest, MalformedHeadHook
from engine.proxy.http1_head import BadRequest, check_fields, may_be_http
from engine.proxy.inject import returnable
from engine.proxy.opaque import PASSTHROUGH, is_opaque
from engine.proxy.ssh import SSH
from engine.proxy.stream import ANSWER, EXCHANGE, PERMIT, ClosedLayer, DecoyHook, Failure, http_layer
from engine.proxy.tls import Tls, client_failure, upstream_alpn
from engine.proxy.tunnels import judge_connect
from engine.proxy.upstream import open_upstream
from engine.proxy.watched import WatchedHandler

_NO_SSH = "This connection has carried something else before, and SSH needs one of its own."


class AgentConnection(WatchedHandler):
    """Run `handle_client()` to serve it; `abort()` ends it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        admission: Admission,
        tls: Tls,
        dialer: Dialer,
        finished: Callable[[Exchange], Awaitable[None]],
        entry: Entry = Entry.PROXY,
    ) -> None:
        """finished: told of every exchange that ended."""
        super().__init__(reader, writer)
        self._entry = entry
        self._admission = admission
        self._tls = tls
        self._dialer = dialer
        self._finished = finished
        self._tunnel: Destination | None = None
        self._in_tls = False
        self._opaque: Exchange | None = None  # all of the connection, when it passes as it is
        self._open: set[Exchange] = set()

    def go_on(self, tunnel: Destination, sni: str | None, alpn: str | None, *, in_tls: bool) -> None:
        """Before `handle_client`: the connection is in its tunnel already, and in TLS too if so; reader and
        writer are what is inside.
        """
        self._tunnel, self._in_tls = tunnel, in_tls
        self.layer.context.server.address = (tunnel.host, tunnel.port)
        if in_tls:
            client = self.client
            client.tls, client.sni, client.alpn = True, sni, alpn.encode("ascii") if alpn else None
            client.timestamp_tls_setup = client.timestamp_start

    def serves_only(self, exchange: Exchange) -> bool:
        """Whether nothing else is open on this connection."""
        return self._open == {exchange}

    # -- what moves through it -------------------------------------------------------------------

    async def open_connection(self, command: commands.OpenConnection) -> None:
        await open_upstream(self, self._dialer, command)

    async def server_event(self, event: events.Event) -> None:
        gone = isinstance(event, events.ConnectionClosed) and event.connection is self.client
        if gone and any(exchange.held for exchange in self._open):
            self.abort()  # its layer would hear of this only after an answer that nobody waits for now
        if self._opaque is not None and isinstance(event, events.DataReceived):
            self._opaque.tunnelled(event.data, outwards=event.connection == self.client)
        await super().server_event(event)
        self._progress.set()

    # -- hooks -----------------------------------------------------------------------------------

    async def handle_hook(self, hook: commands.StartHook) -> None:
        handler = _HOOKS.get(type(hook))
        if handler is None:
            return
        try:
            await handler(self, hook)
        except Exception:
            self.crashes += 1
            self.abort()

    async def _next_layer(self, hook: layer.NextLayerHook) -> None:
        """HTTP at first; in a tunnel TLS or HTTP; inside TLS HTTP; at a transparent entry what it is for."""
        wanted = hook.data
        if self._in_tls or (self._tunnel is None and self._entry is Entry.PROXY):
            self._spoke()
            self._http = wanted.layer = http_layer(wanted.context, in_tunnel=self._in_tls)
            return
        if self._entry is not Entry.PROXY:
            # mitmproxy wants one; each request's own destination takes its place
            wanted.context.server.address = ("", self._entry.value)
        data: bytes = wanted.data_client()  # type: ignore[no-untyped-call]
        if not data:
            self._expect()
            wanted.layer = HttpProxy(wanted.context)  # TLS wants a layer below itself; this one asks again
            return
        if data[:1] == b"\x16" and self._entry is not Entry.HTTP:
            if len(data) < 3:
                return
            if starts_like_tls_record(data):
                self._in_tls = True
                wanted.layer = tls_layers.ClientTLSLayer(wanted.context)
                return
        elif self._entry is not Entry.HTTPS and may_be_http(data):
            self._spoke()
            self._http = wanted.layer = http_layer(wanted.context, in_tunnel=True)
            return
        wanted.layer = ClosedLayer(wanted.context)
        place = f"the tunnel to {self._tunnel}" if self._tunnel else f"port {self._entry.value}"
        await self._turned_away(
            "not-http", f"What was sent through {place} is neither TLS nor HTTP as it belongs there."
        )

    async def _connect(self, hook: hooks.HttpConnectHook) -> None:
        flow = hook.flow
        head = cast(HeadedRequest, flow.request).head
        exchange = self._exchange("CONNECT", head.authority, "")
        exchange.sent(head.fields)
        answer = await self._authenticate(head.values(b"proxy-authorization"), exchange)
        if answer is None:
            answer = await self._begin_tunnel(head.authority, exchange)
        if answer is None and self._tunnel is not None:
            self._open.discard(exchange)  # the requests inside are what is recorded
            flow.request.data.host, flow.request.data.port = self._tunnel.host, self._tunnel.port
            return
        assert answer is not None
        exchange.answer(answer)
        await self._finish(exchange)
        flow.response = http.Response.make(answer.status, answer.body(), answer.headers())

    async def _begin_tunnel(self, authority: str, exchange: Exchange) -> Answer | None:
        if (frozen := await self._admission.frozen_at(authority, exchange)) is not None:
            return frozen
        decision = judge_connect(authority, self._admission.policy, self._dialer)
        if decision.allowed and decision.rule == SSH:  # the lane serves it, where it is asked for properly
            remedy = "Send the run's user and password with a connection's first request."
            decision = Decision(False, decision.destination, None, 403, "ssh-first", _NO_SSH, remedy)
        if decision.destination is not None:
            exchange.host = decision.destination.host
        if decision.allowed:
            self._tunnel = decision.destination
            self._expect()
            return None
        await self._admission.refused(exchange, decision)
        return answers.denial(decision)

    async def _authenticate(self, values: list[str], exchange: Exchange) -> Answer | None:
        if self._admission.authenticated(values):
            return None
        exchange.denied, exchange.rule = True, answers.UNAUTHENTICATED.rule
        if not values:
            exchange.audited = True  # a client that waits to be asked for them is no incident
        else:
            decision = Decision(False, None, None, 407, "proxy-auth", "The proxy password is not this run's.")
            await self._admission.refused(exchange, decision)
        return answers.UNAUTHENTICATED

    async def _request_headers(self, hook: hooks.HttpRequestHeadersHook) -> None:
        flow = hook.flow
        request = flow.request
        head = head_of(request, self._entry, self._tunnel, tls=self._in_tls, sni=self.client.sni)
        if self._entry is Entry.HTTP:
            self._tunnel = head.connect
        exchange = self._exchange(request.method, url_of(head), self._tunnel.host if self._tunnel else "")
        flow.metadata[EXCHANGE] = exchange
        if flow.error is not None:  # mitmproxy's validation refused it; the error hook follows
            exchange.denied, exchange.rule = True, "malformed"
            nested = request.method.upper() == "CONNECT"  # mitmproxy's own words quote the request
            exchange.reason = "There is a tunnel already." if nested else "The request is not valid HTTP."
            exchange.error = exchange.reason
            exchange.sent(head.headers)
            return
        try:
            answer = await self._admit(flow, head, exchange)
        except Exception as error:
            exchange.error = f"internal: {type(error).__name__}"
            answer = answers.INTERNAL
        if answer is not None:
            flow.metadata[ANSWER] = answer
            request.headers = http.Headers()  # nothing of it is needed any more, "Expect" least of all
        request.stream = exchange.request.see if exchange.watch is None else _searched(exchange)

    async def _admit(self, flow: http.HTTPFlow, head: RequestHead, exchange: Exchange) -> Answer | None:
        request = flow.request
        if self._tunnel is None and head.target is not None:
            values = [v.decode("latin-1") for n, v in head.headers if n.lower() == b"proxy-authorization"]
            if (answer := await self._authenticate(values, exchange)) is not None:
                return answer
        try:
            check_fields(head.headers)
        except BadRequest as error:
            decision = Decision(False, self._tunnel, None, 400, "malformed", str(error))
            await self._admission.refused(exchange, decision)
            return answers.denial(decision)
        admitted = await self._admission.admit(head, exchange)
        if isinstance(admitted, Answer):
            return admitted
        assert exchange.decision is not None
        assert exchange.decision.destination is not None
        destination = exchange.decision.destination
        exchange.host = destination.host
        request.headers = http.Headers(admitted)
        data = request.data
        data.host, data.port = destination.host, destination.port
        data.scheme = b"https" if head.tls else b"http"
        data.authority = destination.authority(443).encode("ascii") if head.authority is not None else b""
        flow.metadata[PERMIT] = True
        return None

    async def _request(self, hook: hooks.HttpRequestHook) -> None:
        """The body has passed; its trailers have not."""
        trailers = hook.flow.request.trailers
        if trailers is not None:
            allowed = self._admission.without_credentials(list(trailers.fields))
            hook.flow.request.trailers = http.Headers(allowed) if allowed else None

    async def _decoy(self, hook: DecoyHook) -> None:
        exchange = cast(Exchange, hook.flow.metadata[EXCHANGE])
        exchange.error = CUT_OFF
        hook.flow.metadata[ANSWER] = await self._admission.frozen(exchange, self._tunnel)

    async def _response_headers(self, hook: hooks.HttpResponseHeadersHook) -> None:
        flow = hook.flow
        response = flow.response
        exchange = cast(Exchange, flow.metadata[EXCHANGE])
        assert response is not None
        exchange.answered(response.status_code, response.headers.fields)
        if response.status_code == 101 and not exchange.upgrade:
            exchange.error = "the upstream switched protocols without being asked"
            flow.error = mflow.Error(mflow.Error.KILLED_MESSAGE)
            return
        scrubbing.begin(flow, exchange, returnable(list(response.headers.fields)))

    async def _response(self, hook: hooks.HttpResponseHook) -> None:
        exchange = cast(Exchange | None, hook.flow.metadata.get(EXCHANGE))
        if exchange is not None:
            scrubbing.trailers(hook.flow, exchange)
        if exchange is not None and exchange.status != 101:  # a WebSocket is over when its connection is
            await self._finish(exchange)

    async def _error(self, hook: hooks.HttpErrorHook) -> None:
        exchange = cast(Exchange | None, hook.flow.metadata.get(EXCHANGE))
        # A client that closes as soon as it has everything is no error, though its record is not built yet.
        if exchange is not None and not exchange.ended:
            # Nor is one that has the head which it asked for: nothing follows that.
            if hook.flow.request.method != "HEAD" or hook.flow.response is None:
                exchange.error = exchange.error or str(
                    hook.flow.error.msg if hook.flow.error else "broken off"
                )
            await self._finish(exchange)

    async def _malformed(self, hook: MalformedHeadHook) -> None:
        await self._turned_away("malformed", hook.message, status=400)

    async def _client_hello(self, hook: tls_layers.TlsClienthelloHook) -> None:
        if self._entry is Entry.HTTPS:
            self._tunnel = named_by_sni(self.client.sni)
            if self._tunnel is None:
                await self._turned_away("sni-missing", "TLS to port 443 did not say for which host (no SNI).")
        if self._tunnel is not None and self._admission.ends_at(self.client.sni or ""):
            exchange = self._exchange("CONNECT", str(self._tunnel), self._tunnel.host)
            answer = await self._admission.frozen_at(self.client.sni or "", exchange)
            assert answer is not None
            exchange.answer(answer)
            await self._finish(exchange)
            return  # the client reads why in what its request is answered
        if self._tunnel is not None and is_opaque(self._tunnel, self.client.sni, self._admission.policy):
            self._spoke()
            self._opaque = self._exchange("CONNECT", str(self._tunnel), self._tunnel.host)
            self._opaque.tunnelled(hook.data.client_hello.raw_bytes(), outwards=True)
            await self._admission.passed(self._opaque, PASSTHROUGH)
            self._upstream = hook.data.context.server
            self._upstream.address = (self._tunnel.host, self._tunnel.port)
            hook.data.ignore_connection = True

    async def _client_tls(self, hook: tls_layers.TlsStartClientHook) -> None:
        if self._tunnel is None:
            return  # without a certificate the connection ends
        names = [self._tunnel.host]
        with contextlib.suppress(BadDestination):
            # when it differs the request is refused; with its own name there the client reads why
            names.insert(0, normalise_host(self.client.sni or "")[0])
        hook.data.ssl_conn = self._tls.to_client(names)

    async def _upstream_tls(self, hook: tls_layers.TlsStartServerHook) -> None:
        address = cast(Any, hook.data.conn).address
        hook.data.ssl_conn = self._tls.to_upstream(address[0], upstream_alpn(self.client.alpn))

    async def _client_tls_failed(self, hook: tls_layers.TlsFailedClientHook) -> None:
        if self._tunnel is None:
            return
        exchange = self._exchange("CONNECT", str(self._tunnel), self._tunnel.host)
        exchange.error = client_failure(self.client.error or "")
        await self._finish(exchange)

    async def _disconnected(self, hook: server_hooks.ClientDisconnectedHook) -> None:
        for exchange in list(self._open):
            if exchange.held:
                exchange.withdraw()
            elif exchange is self._opaque:
                if isinstance(failure := self._upstream.error, Failure):
                    exchange.rule = ""
                    exchange.answer(failure.answer)
            elif exchange.status != 101 and not exchange.ended:
                exchange.error = exchange.error or "the connection closed before the response was complete"
            await self._finish(exchange)

    # -- records ---------------------------------------------------------------------------------

    def _exchange(self, method: str, url: str, host: str) -> Exchange:
        exchange = Exchange(self._admission.redactor, method, url, host)
        self._open.add(exchange)
        return exchange

    async def _finish(self, exchange: Exchange) -> None:
        self._open.discard(exchange)
        await self._finished(exchange)

    async def _turned_away(self, rule: str, message: str, status: int = 0) -> None:
        method = "CONNECT" if self._tunnel else "-"
        exchange = self._exchange(method, str(self._tunnel or ""), self._tunnel.host if self._tunnel else "")
        exchange.status = status
        exchange.error = message
        await self._admission.refused(exchange, Decision(False, self._tunnel, None, status, rule, message))
        await self._finish(exchange)


def _searched(exchange: Exchange) -> Callable[[bytes], bytes]:
    """mitmproxy asks with nothing for what is left at the end."""
    watch, see = exchange.watch, exchange.request.see
    assert watch is not None
    return lambda chunk: watch.body(see(chunk)) if chunk else watch.end()


type _Handler = Callable[[AgentConnection, Any], Awaitable[None]]

_HOOKS: dict[type[commands.StartHook], _Handler] = {
    layer.NextLayerHook: AgentConnection._next_layer,
    hooks.HttpConnectHook: AgentConnection._connect,
    hooks.HttpRequestHeadersHook: AgentConnection._request_headers,
    hooks.HttpRequestHook: AgentConnection._request,
    hooks.HttpResponseHeadersHook: AgentConnection._response_headers,
    hooks.HttpResponseHook: AgentConnection._response,
    hooks.HttpErrorHook: AgentConnection._error,
    DecoyHook: AgentConnection._decoy,
    MalformedHeadHook: AgentConnection._malformed,
    tls_layers.TlsClienthelloHook: AgentConnection._client_hello,
    tls_layers.TlsStartClientHook: AgentConnection._client_tls,
    tls_layers.TlsStartServerHook: AgentConnection._upstream_tls,
    tls_layers.TlsFailedClientHook: AgentConnection._client_tls_failed,
    server_hooks.ClientDisconnectedHook: AgentConnection._disconnected,
}
