"""What a response may carry back: one exchange's entry to the scrubbing, for whichever lane it came by.

    exchange.scrubber                       None when no credential went along: there is nothing to look for
    head(method, status, reason, fields)    → (reason, fields) to send instead; raises UnreadableBody
    verbatim                                after head(): the body passes as it is, body() need not be called
    body(chunk)                             → what to send now, may be empty; raises UnreadableBody
    end()                                   → the rest of the body, before any trailers; raises UnreadableBody
    trailers(fields)                        → fields to send instead
    frames(chunk)                           → instead of body() once a 101 has switched to WebSocket
    hits                                    how often a value was replaced; the audit entry is made from it

Replacements have the length of what they replace, so Content-Length and ranges stay true. Only for a body
that had to be decoded and encoded again does head() leave Content-Length out: the lane then frames the
body as one of unknown length. What is asked of the upstream is narrowed by `asked`, in the admission.
"""

from __future__ import annotations

from engine.proxy.inject import HeaderList


class UnreadableBody(ValueError):
    """The response cannot be searched and must not be passed on. The text quotes nothing of it."""


class ResponseScrubber:
    """To be asked in the order of the module's text, once per response."""

    hits = 0
    verbatim = False

    def head(self, method: str, status: int, reason: bytes, fields: HeaderList) -> tuple[bytes, HeaderList]:
        return reason, fields

    def body(self, chunk: bytes) -> bytes:
        return chunk

    def end(self) -> bytes:
        return b""

    def trailers(self, fields: HeaderList) -> HeaderList:
        return fields

    def frames(self, chunk: bytes) -> bytes:
        return chunk
