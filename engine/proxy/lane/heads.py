"""Which requests the lane takes, and what goes over the wire for them. Pure."""

from __future__ import annotations

import re

from engine.proxy.answers import REASONS, Answer
from engine.proxy.http1 import error_text, plain
from engine.proxy.http1_head import Head
from engine.proxy.inject import HeaderList

_LENGTH = re.compile(rb"(?:0|[1-9][0-9]*)\Z")  # what mitmproxy's validation lets pass


def is_certain(head: Head) -> bool:
    """Whether this is a request as clients write it, to which both lanes would do the same."""
    if head.version != "HTTP/1.1" or head.target is not None or not head.method.isupper():
        return False
    if head.method == "CONNECT":
        return False
    expects = 0
    for name, value in head.fields:
        lower = name.lower()
        if lower == b"content-length" and not _LENGTH.match(value):
            return False
        if lower == b"expect":
            expects += 1
            if value.lower() != b"100-continue":
                return False
    return expects < 2


def request_wire(head: Head, fields: HeaderList) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (head.method.encode("ascii"), head.path.encode("latin-1"), lines)


def answer_wire(answer: Answer, head: Head) -> bytes:
    """All of an answer of Moat's own."""
    fields = answer.headers()
    if head.closes:
        fields.append((b"connection", b"close"))
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    status = b"HTTP/1.1 %d %b\r\n" % (answer.status, REASONS.get(answer.status, b""))
    return status + lines + b"\r\n" + (b"" if head.method == "HEAD" else answer.body())


def broken_wire() -> bytes:
    """For a response that cannot be passed on."""
    return plain(502, error_text(502))
