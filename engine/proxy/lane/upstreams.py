"""The run's connections to its upstreams: opened to a checked address, verified, kept for the next request.

One serves another request only for exactly the same host and port, over TLS that was verified for that host.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict

from engine.proxy import answers, upstream
from engine.proxy.answers import Answer
from engine.proxy.dial import Dialer, DialFailed, DialRefused
from engine.proxy.lane.link import Link

_MAX_IDLE = 256  # connections kept for later; the longest unused goes first
_IDLE_TIMEOUT = 30.0  # seconds; beyond it many servers have closed, or are about to

type Place = tuple[str, int]


class NotReached(Exception):
    """There is no connection; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.rule)
        self.answer = answer


class Upstream:
    """A verified connection to `place`. used: how many requests it has served."""

    __slots__ = ("_writer", "idle_since", "link", "place", "used")

    def __init__(self, place: Place, link: Link, writer: asyncio.StreamWriter) -> None:
        self.place = place
        self.link = link
        self.used = 0
        self.idle_since = 0.0
        self._writer = writer  # it closes its transport when nobody holds it

    @property
    def alive(self) -> bool:
        """Nothing was heard from it since the last response was complete; its end least of all."""
        return not (self.link.ended or self.link.closing or self.link.buffer)


class Upstreams:
    """One per run. `context` verifies."""

    def __init__(self, dialer: Dialer, context: ssl.SSLContext) -> None:
        self._dialer = dialer
        self._context = context
        self._idle: OrderedDict[Upstream, None] = OrderedDict()
        self._of: dict[Place, list[Upstream]] = {}
        self._closed = False

    def idle(self, place: Place) -> Upstream | None:
        """One that waits for a request to `place`, the one used last first."""
        waiting = self._of.get(place, [])
        while waiting:
            found = waiting[-1]
            self._forget(found)
            if found.alive:
                found.link.ignore()
                return found
            found.link.abort()
        return None

    async def open(self, place: Place) -> Upstream:
        """Raises NotReached."""
        link, writer = await dial(self._dialer, place)
        try:
            async with asyncio.timeout(upstream.HANDSHAKE_TIMEOUT):
                await link.handshake(self._context, server=False, host=place[0])
        except (OSError, TimeoutError) as error:
            link.abort()
            raise NotReached(answers.upstream_failure(place[0], _in_words(error))) from error
        except BaseException:
            link.abort()
            raise
        return Upstream(place, link, writer)

    def give(self, found: Upstream) -> None:
        """Keep it for whoever asks for its place next."""
        if self._closed or not found.alive:
            found.link.abort()
            return
        found.idle_since = asyncio.get_running_loop().time()
        self._idle[found] = None
        self._of.setdefault(found.place, []).append(found)
        found.link.resume()
        found.link.changed = lambda: self._spoke(found)
        if len(self._idle) > _MAX_IDLE:
            oldest = next(iter(self._idle))
            self._forget(oldest)
            oldest.link.close()

    def sweep(self) -> None:
        """Close what waited too long; to be called now and then."""
        limit = asyncio.get_running_loop().time() - _IDLE_TIMEOUT
        for found in list(self._idle):
            if found.idle_since > limit:
                break
            self._forget(found)
            found.link.close()

    def close(self) -> None:
        self._closed = True
        for found in list(self._idle):
            self._forget(found)
            found.link.abort()

    def _spoke(self, found: Upstream) -> None:
        """An upstream that speaks without being asked, or ends, is of no use."""
        if not found.alive and found in self._idle:
            self._forget(found)
            found.link.abort()

    def _forget(self, found: Upstream) -> None:
        found.link.ignore()
        self._idle.pop(found, None)
        waiting = self._of.get(found.place, [])
        if found in waiting:
            waiting.remove(found)
        if not waiting:
            self._of.pop(found.place, None)


async def dial(dialer: Dialer, place: Place) -> tuple[Link, asyncio.StreamWriter]:
    """A TCP connection to a checked address, as a link without TLS; the writer must be kept as long, since
    it closes its transport when nobody holds it. Raises NotReached.
    """
    host, port = place
    try:
        reader, writer = await dialer.dial(host, port)
    except DialRefused as error:
        raise NotReached(
            answers.refusal(403, error.rule, f"{host}:{port}", error.message, error.remedy)
        ) from error
    except DialFailed as error:
        raise NotReached(answers.upstream_failure(host, str(error))) from error
    link = Link()
    transport = writer.transport
    link.connection_made(transport)
    link.buffer += bytes(getattr(reader, "_buffer", b""))
    transport.set_protocol(link)
    return link, writer


def _in_words(error: Exception) -> str:
    """As answers.upstream_failure knows them from pyOpenSSL."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "").replace("_", " ").lower()
        return reason if "wrong version number" in reason else f"OpenSSL: {reason}"
    if isinstance(error, TimeoutError):
        return "connection closed without a TLS handshake in time"
    return "connection closed early"
