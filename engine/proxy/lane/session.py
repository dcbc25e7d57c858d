"""One agent connection, from accept to close: CONNECT, TLS, then HTTP/1.1 requests one after another.

What is taken here is taken because it is certain: a CONNECT that shows the run's token and may begin, TLS
whose client will not get HTTP/2, a request head as clients write it. Everything else goes to mitmproxy's
layers, which judge and answer it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy.layers.tls import parse_client_hello

from engine.proxy import answers
from engine.proxy.admission import Admission
from engine.proxy.answers import Answer
from engine.proxy.decision import RequestHead
from engine.proxy.destination import BadDestination, Destination, normalise_host
from engine.proxy.dial import Dialer
from engine.proxy.entry import Entry
from engine.proxy.exchange import Exchange
from engine.proxy.heads import url_of
from engine.proxy.http1_head import HEAD_TIMEOUT, BadRequest, Head, find_end, parse_head
from engine.proxy.lane.body import Body
from engine.proxy.lane.contexts import Contexts
from engine.proxy.lane.handover import streams
from engine.proxy.lane.heads import answer_wire, broken_wire, is_certain, request_wire
from engine.proxy.lane.link import Link
from engine.proxy.lane.records import Records
from engine.proxy.lane.relay import End, Relay
from engine.proxy.lane.ssh_tunnel import ESTABLISHED, serve_ssh
from engine.proxy.lane.upstreams import NotReached, Upstream, Upstreams
from engine.proxy.opaque import is_opaque
from engine.proxy.ssh import SSH
from engine.proxy.tls import Tls, client_failure
from engine.proxy.tunnels import judge_connect

if TYPE_CHECKING:
    from engine.proxy.connection import AgentConnection

_MAX_AHEAD = 64 * 1024  # bytes that may wait for a decision or a connection
_MAX_HELLO = 64 * 1024
_MAX_IGNORED = 64 * 1024 * 1024  # of a refused request's body, read so that the client gets to see why
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 §9.2.2, without TRACE


class Services(msgspec.Struct):
    """What all connections of one proxy share."""

    admission: Admission
    tls: Tls
    contexts: Contexts
    dialer: Dialer
    upstreams: Upstreams
    records: Records
    fast: bool


class _HandOver(Exception):
    """What comes next is not for this lane."""


class Session(Link):
    """`serve` it after the connection was made; `abort` ends it."""

    def __init__(self, services: Services, entry: Entry, accepted: Callable[[Session], bool]) -> None:
        """accepted: told of the connection before a byte of it is read; False drops it."""
        super().__init__()
        self._services = services
        self.entry = entry
        self._accepted = accepted
        self._tunnel: Destination | None = None
        self._sni: str | None = None
        self._upstream: Upstream | None = None
        self._layers: AgentConnection | None = None
        self._began = False  # whether a request has come
        self._exchange: Exchange | None = None  # the last one that was begun here
        self._crashed = 0

    @property
    def crashes(self) -> int:
        return self._crashed + (self._layers.crashes if self._layers is not None else 0)

    def serves_only(self, exchange: Exchange) -> bool:
        """Whether nothing else is open on this connection."""
        return self._layers.serves_only(exchange) if self._layers is not None else self._exchange is exchange

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._accepted(self):
            self.abort()

    def abort(self) -> None:
        if self._layers is not None:
            self._layers.abort()
        super().abort()

    async def serve(self) -> None:
        try:
            if not await self._tunnelled():
                return self.close()
            async with asyncio.timeout(HEAD_TIMEOUT):
                await self._secured()
            while await self._one():
                pass
            self.close()
        except _HandOver:
            await self._to_layers()
        except (ConnectionError, TimeoutError):
            self.close()
        except Exception:
            self._crashed += 1
        finally:
            if self._layers is None:
                if not self.closing:
                    super().abort()
                self._give_back(reusable=True)
                while not self.lost:
                    await self.wait()

    # -- before the first request ----------------------------------------------------------------

    async def _tunnelled(self) -> bool:
        """Whether TLS is what should come next; where it is SSH, all of it has passed."""
        if not self._services.fast or self.entry is not Entry.PROXY:
            raise _HandOver
        end = await self._head(due=True)
        head = self._parse(end)
        admission = self._services.admission
        shown = head.values(b"proxy-authorization")
        if (
            head.method != "CONNECT"
            or not admission.authenticated(shown)
            or admission.ends_at(head.authority)
        ):
            raise _HandOver
        decision = judge_connect(head.authority, admission.policy, self._services.dialer)
        if not decision.allowed or decision.destination is None:
            raise _HandOver
        if decision.rule != SSH and (head.version != "HTTP/1.1" or head.closes):
            raise _HandOver
        del self.buffer[:end]
        if decision.rule == SSH:
            await serve_ssh(self, head, decision.destination, self._services)
            return False
        self._tunnel = decision.destination
        self.write(ESTABLISHED)
        return True

    async def _secured(self) -> None:
        assert self._tunnel is not None
        while True:
            data = bytes(self.buffer)
            if data[:1] not in (b"", b"\x16") or len(data) > _MAX_HELLO:
                raise _HandOver
            if len(data) > 2 and not starts_like_tls_record(data):
                raise _HandOver
            try:
                hello = parse_client_hello(data)
                if hello is not None:
                    offered, self._sni = hello.alpn_protocols, hello.sni
                    break
            except ValueError:
                raise _HandOver from None
            if self.ended:
                raise _HandOver
            await self.wait()
        if next((name for name in offered if name in (b"h2", b"http/1.1")), None) == b"h2":
            raise _HandOver
        if is_opaque(self._tunnel, self._sni, self._services.admission.policy):
            raise _HandOver
        if self._services.admission.ends_at(self._sni or ""):
            raise _HandOver
        names = [self._tunnel.host]
        with contextlib.suppress(BadDestination):
            names.insert(0, normalise_host(self._sni or "")[0])
        try:
            await self.handshake(self._services.contexts.leaf(names), server=True)
        except (ssl.SSLError, ConnectionError) as error:
            exchange = Exchange(
                self._services.admission.redactor, "CONNECT", str(self._tunnel), self._tunnel.host
            )
            reason = (getattr(error, "reason", "") or str(error)).replace("_", " ").lower()
            exchange.error = client_failure(reason)
            await self._services.records.put(exchange)
            raise ConnectionError from error

    async def _to_layers(self) -> None:
        from engine.proxy.connection import AgentConnection

        self._give_back(reusable=True)
        services = self._services
        reader, writer = streams(self)
        self._layers = AgentConnection(
            reader, writer, services.admission, services.tls, services.dialer,
            services.records.put, self.entry,
        )  # fmt: skip
        if self._tunnel is not None:
            self._layers.go_on(self._tunnel, self._sni, self.alpn(), in_tls=self.secured)
        await self._layers.handle_client()

    # -- requests --------------------------------------------------------------------------------

    async def _head(self, *, due: bool) -> int:
        """The length of the head that has arrived whole. due: it should come soon, as one that has begun
        should. Raises ConnectionError at the connection's end.
        """
        deadline = self._loop.time() + HEAD_TIMEOUT if due else None
        while True:
            if self.buffer.startswith((b"\r", b"\n")):  # RFC 9112 §2.2: ignored before a request line
                raise _HandOver
            try:
                end = find_end(self.buffer) if self.buffer else 0
            except BadRequest:
                raise _HandOver from None
            if end:
                return end
            if self.ended:
                raise ConnectionError
            self.resume()
            if deadline is None and self.buffer:
                deadline = self._loop.time() + HEAD_TIMEOUT
            try:
                async with asyncio.timeout_at(deadline):
                    await self.wait()
            except TimeoutError:
                if self.buffer:
                    raise _HandOver from None
                raise ConnectionError from None

    def _parse(self, end: int) -> Head:
        try:
            return parse_head(bytes(self.buffer[:end]))
        except BadRequest:
            raise _HandOver from None

    async def _one(self) -> bool:
        """Serve one request; whether another may follow."""
        end = await self._head(due=not self._began)
        self._began = True
        head = self._parse(end)
        if not is_certain(head):
            raise _HandOver
        del self.buffer[:end]
        said = self._request_head(head)
        self._exchange = exchange = self._begin_exchange(head, said)
        try:
            more = await self._serve(head, said, exchange)
        except asyncio.CancelledError:
            if not self.ended:
                raise
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            more = False
        finally:
            if self.ended and not exchange.ended and exchange.status != 101:
                exchange.error = exchange.error or "the connection closed before the response was complete"
            await self._services.records.put(exchange)
        return more and not self.ended

    async def _serve(self, head: Head, said: RequestHead, exchange: Exchange) -> bool:
        services = self._services
        with self._withdrawing():
            try:
                admitted = await services.admission.admit(said, exchange)
            except Exception as error:
                exchange.error = f"internal: {type(error).__name__}"
                admitted = answers.INTERNAL
        if isinstance(admitted, Answer):
            return await self._answer(admitted, head, exchange)
        assert exchange.decision is not None
        assert exchange.decision.destination is not None
        destination = exchange.decision.destination
        exchange.host = destination.host
        place = (destination.host, destination.port)
        if any(name.lower() == b"expect" for name, _ in admitted):
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            admitted = [(name, value) for name, value in admitted if name.lower() != b"expect"]
        wire = request_wire(head, admitted)
        fresh = False
        while True:
            try:
                with self._withdrawing():
                    upstream = await self._reach(place, fresh=fresh)
            except NotReached as error:
                return await self._answer(error.answer, head, exchange)
            relay = Relay(self, upstream.link, head, exchange, services.admission.without_credentials)
            try:
                relay.start(wire)
                how = await relay.ended
            finally:
                relay.stop()
            again = how is End.STALE and upstream.used and head.length == 0 and head.method in _IDEMPOTENT
            upstream.used += 1
            self._give_back(reusable=how is End.DONE and relay.reusable, keep=True)
            if not again or self.ended:
                break
            fresh = True
        if how is End.DONE:
            return not relay.closes
        if how is End.DECOY:
            exchange.error = relay.problem
            refusal = await services.admission.frozen(exchange, destination)
            # where its response has begun already, only the end of the connection can say it
            return not exchange.status and await self._answer(refusal, head, exchange, relay.request)
        if how is End.UNREADABLE:
            why = f"{relay.problem}, so it is not passed on."
            answer = answers.failure(502, "unreadable", exchange.host, why)
            return await self._answer(answer, head, exchange, relay.request)
        if not self.ended:
            exchange.error = exchange.error or relay.problem
        if how in (End.STALE, End.FAILED):
            self.write(broken_wire())
        return False

    async def _reach(self, place: tuple[str, int], *, fresh: bool) -> Upstream:
        """This connection's own upstream, one that waits, or a new one."""
        mine = self._upstream
        if mine is not None and mine.place == place and mine.alive and not fresh:
            return mine
        self._give_back(reusable=True)
        upstreams = self._services.upstreams
        self._upstream = (None if fresh else upstreams.idle(place)) or await upstreams.open(place)
        return self._upstream

    def _give_back(self, *, reusable: bool, keep: bool = False) -> None:
        """Let the upstream go, to the other connections if it is of use. keep: it stays with this one."""
        mine = self._upstream
        if mine is None:
            return
        if not reusable or not mine.alive:
            mine.link.abort()
            self._upstream = None
        elif not keep or self.ended or self.closing:
            self._services.upstreams.give(mine)
            self._upstream = None

    @contextlib.contextmanager
    def _withdrawing(self) -> Iterator[None]:
        """While the agent waits for a decision or a connection: when it goes away, so does its request; what
        it sends meanwhile stays outside.
        """
        task = asyncio.current_task()
        assert task is not None

        def changed() -> None:
            if self.ended:
                self.ignore()
                task.cancel()
            elif len(self.buffer) > _MAX_AHEAD:
                self.pause()

        self.changed = changed
        try:
            yield
        finally:
            self.ignore()

    # -- answers of our own ----------------------------------------------------------------------

    async def _answer(self, answer: Answer, head: Head, exchange: Exchange, body: Body | None = None) -> bool:
        """Say so at once; what still comes of the request's body goes unread into nothing. body: what of it
        was taken already.
        """
        exchange.answer(answer)
        self.write(answer_wire(answer, head))
        body = body or Body(head.length)
        ignored = 0
        while True:
            ignored += len(body.take(self.buffer))
            if body.done:
                return not head.closes
            if body.broken or ignored > _MAX_IGNORED or self.ended:
                return False
            self.resume()
            await self.wait()

    # -- heads -----------------------------------------------------------------------------------

    def _begin_exchange(self, head: Head, said: RequestHead) -> Exchange:
        assert self._tunnel is not None
        return Exchange(self._services.admission.redactor, head.method, url_of(said), self._tunnel.host)

    def _request_head(self, head: Head) -> RequestHead:
        return RequestHead(
            method=head.method,
            path=head.path,
            headers=head.fields,
            hosts=tuple(head.values(b"host")),
            connect=self._tunnel,
            tls=True,
            sni=self._sni,
        )
