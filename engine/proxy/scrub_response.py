"""What a response may carry back: one exchange's entry to the scrubbing, for whichever lane it came by. Pure.

    exchange.scrubber                       None when no credential went along: there is nothing to look for
    head(method, status, reason, fields)    → (reason, fields) to send instead; raises UnreadableBody
    verbatim                                after head(), and again after any body(): the rest of the body
                                            passes as it is, and nothing need be called for it
    body(chunk)                             → what to send now, may be empty; raises UnreadableBody
    end()                                   → the rest of the body, before any trailers; raises UnreadableBody
    trailers(fields)                        → fields to send instead
    frames(chunk)                           → instead of body() once a 101 has switched to WebSocket
    hits                                    replacements by grant; the audit entry is made from it

The record is made of what came: Capture sees a chunk before it is searched, and redacts on its own.
Replacements have the length of what they replace, so Content-Length and ranges stay true. Only for a body
that had to be decoded and encoded again does head() leave Content-Length out: the lane then frames the
body as one of unknown length. What is asked of the upstream is narrowed by `asked`, in the admission.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from engine.proxy.codings import READABLE, BadCoding
from engine.proxy.inject import HeaderList
from engine.proxy.scrub import Lexicon, Scrubber, scrubbed
from engine.proxy.scrub_body import CodedBody, PlainBody, is_text
from engine.proxy.scrub_frames import FrameScrubber, UnreadableFrames

_NO_BODY = frozenset({204, 205, 304})
# what says how long a coded body is or what it adds up to: not true of one that was coded again
_OF_CODED = frozenset({b"content-length", b"content-md5", b"digest", b"content-digest", b"repr-digest"})
# none at all, and what some servers say of bodies in none
_NO_CODINGS = frozenset({"", "identity", "none", "utf-8", "binary", "aws-chunked"})
_OF_BODY = frozenset({b"content-type", b"content-encoding", b"transfer-encoding"})
_GRPC_CODINGS = frozenset({b"grpc-accept-encoding", b"connect-accept-encoding"})


class UnreadableBody(ValueError):
    """The response cannot be searched and must not be passed on. The text quotes nothing of it."""


def asked(fields: HeaderList) -> HeaderList:
    """The request's fields without what would make its response unreadable: codings that Moat does not
    know, any coding of a range (its middle cannot be decoded), compression of messages inside the body.
    """
    ranged = any(name.lower() == b"range" for name, _ in fields)
    kept: HeaderList = []
    for name, value in fields:
        lower = name.lower()
        if lower == b"accept-encoding":
            value = b"identity" if ranged else _readable(value)
        elif lower in _GRPC_CODINGS:
            value = b"identity"
        elif lower == b"sec-websocket-extensions":
            continue
        kept.append((name, value))
    return kept


def watchable(fields: HeaderList) -> HeaderList:
    """The request's fields without what would make a WebSocket's frames unreadable."""
    return [(name, value) for name, value in fields if name.lower() != b"sec-websocket-extensions"]


def _readable(value: bytes) -> bytes:
    parts = [part.strip() for part in value.split(b",")]
    kept = [part for part in parts if part.split(b";")[0].strip().lower().decode("latin-1") in READABLE]
    return value if len(kept) == len(parts) else b", ".join(kept) or b"identity"


class ResponseScrubber:
    """To be asked in the order of the module's text, once per response."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self.hits: Counter[str] = Counter()
        self.verbatim = True
        self._body: PlainBody | CodedBody | None = None
        self._frames: FrameScrubber | None = None

    def head(self, method: str, status: int, reason: bytes, fields: HeaderList) -> tuple[bytes, HeaderList]:
        if status == 101:
            if any(name.lower() == b"sec-websocket-extensions" for name, _ in fields):
                raise UnreadableBody("the upstream wants a WebSocket extension that nobody asked for")
            self._frames = FrameScrubber(self._lexicon, self.hits)
        elif method != "HEAD" and status not in _NO_BODY:
            fields = self._begin_body(status, fields)
        if not self._lexicon.holds(b"\n".join((reason, *_texts(fields)))):
            return reason, fields
        return self._scrubbed(reason), self.trailers(fields)

    def body(self, chunk: bytes) -> bytes:
        if self.verbatim or self._body is None:
            return chunk
        try:
            chunk = self._body.feed(chunk)
        except BadCoding as error:
            raise UnreadableBody(str(error)) from None
        self.verbatim = self._body.verbatim
        return chunk

    def end(self) -> bytes:
        if self._body is None:
            return b""
        try:
            return self._body.finish()
        except BadCoding as error:
            raise UnreadableBody(str(error)) from None

    def trailers(self, fields: HeaderList) -> HeaderList:
        return [(self._scrubbed(name), self._scrubbed(value)) for name, value in fields]

    def frames(self, chunk: bytes) -> bytes:
        if self._frames is None:
            return chunk
        try:
            return self._frames.feed(chunk)
        except UnreadableFrames as error:
            raise UnreadableBody(str(error)) from None

    def _begin_body(self, status: int, fields: HeaderList) -> HeaderList:
        said = _about_body(fields)
        kind = said.get(b"content-type")
        text = None if kind is None else is_text(kind.decode("latin-1"))
        codings = [
            coding
            for part in said.get(b"content-encoding", b"").decode("latin-1").lower().split(",")
            if (coding := part.strip()) not in _NO_CODINGS
        ]
        transfer = said.get(b"transfer-encoding", b"").strip().lower()
        if text is False or (text is None and not READABLE.issuperset(codings)):
            return fields
        if transfer not in (b"", b"chunked", b"identity"):
            raise UnreadableBody("the response is compressed in a way that nobody asked for")
        self.verbatim = False
        scrubber = Scrubber(self._lexicon, self.hits)
        if not codings:
            self._body = PlainBody(scrubber, sniff=text is None)
            return fields
        if len(codings) > 1 or status == 206:
            raise UnreadableBody("the response is in a coding that cannot be searched")
        try:
            self._body = CodedBody(scrubber, codings[0], sniff=text is None)
        except BadCoding as error:
            raise UnreadableBody(str(error)) from None
        return [(name, value) for name, value in fields if name.lower() not in _OF_CODED]

    def _scrubbed(self, data: bytes) -> bytes:
        return scrubbed(data, self._lexicon, self.hits)


def _texts(fields: HeaderList) -> Iterator[bytes]:
    for name, value in fields:
        yield name
        yield value


def _about_body(fields: HeaderList) -> dict[bytes, bytes]:
    """What says how the body is to be read; values of one name are joined."""
    said: dict[bytes, bytes] = {}
    for name, value in fields:
        lower = name.lower()
        if lower in _OF_BODY:
            said[lower] = said[lower] + b"," + value if lower in said else value
    return said
