"""Reads an HTTP/1 request head, strictly. Pure; no mitmproxy.

Wherever two readers could disagree about where a message ends or whom it is for, the answer is 400 and
the connection closes (RFC 9112 §2.2, §3, §5, §6). Lenient parsers are where smuggling comes from.
"""

from __future__ import annotations

import re

import msgspec

MAX_HEAD = 64 * 1024  # bytes, request line included
MAX_FIELDS = 256
HEAD_TIMEOUT = 30.0  # seconds for a head once it has begun, and for a connection's first to come

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_BEGINNING = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40}(?: [^\r\n]*)?\r?\Z")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40}) ([^\x00-\x20\x7f]+) HTTP/1\.([01])\Z")
_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)\Z", re.DOTALL)
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*\Z")
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")


class BadRequest(ValueError):
    """The text is safe to send back: it quotes nothing from the request."""


class Head(msgspec.Struct, frozen=True):
    """A request head as the client wrote it.

    target: `(scheme in lower case, authority)` of an absolute-form request line, else None.
    authority: of a CONNECT, as sent, else "".
    path: begins with "/", or is "*"; "" for CONNECT.
    length: bytes of body, None when it is chunked.
    closes: whether the client wants the connection closed after the response.
    """

    method: str
    target: tuple[str, str] | None
    authority: str
    path: str
    version: str
    fields: tuple[tuple[bytes, bytes], ...]
    length: int | None
    closes: bool

    def values(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self.fields if key.lower() == name]


def find_end(data: bytes | bytearray) -> int:
    """The length of the head including its empty line, 0 while it is not complete.

    Raises BadRequest as soon as what is there cannot become a head: bare CR or LF, NUL, too long, or a
    first line that is not HTTP (so that other protocols are turned away instead of waited for).
    """
    end = data.find(b"\r\n\r\n")
    head = data[: end + 4] if end >= 0 else data
    if len(head) > MAX_HEAD:
        raise BadRequest(f"The request's head is longer than {MAX_HEAD} bytes.")
    if b"\0" in head:
        raise BadRequest("The request's head holds a NUL.")
    lines = head.count(b"\r\n")
    if head.count(b"\n") != lines or head.count(b"\r") - head.endswith(b"\r") * (end < 0) != lines:
        raise BadRequest("The request's head holds a bare CR or LF.")
    line, complete, _ = bytes(head).partition(b"\r\n")
    if complete and not _REQUEST_LINE.match(line):
        raise BadRequest("The request line is not HTTP/1.")
    if head and not _BEGINNING.match(line):
        raise BadRequest("This is not HTTP.")
    return end + 4 if end >= 0 else 0


def may_be_http(data: bytes) -> bool:
    """Whether this can be the beginning of a request, or of empty lines before one."""
    try:
        find_end(data.lstrip(b"\r\n"))
    except BadRequest:
        return False
    return True


def parse_head(data: bytes) -> Head:
    """`data` is a whole head, as measured by `find_end`. Raises BadRequest."""
    lines = data[:-4].split(b"\r\n")
    match = _REQUEST_LINE.match(lines[0])
    if match is None:
        raise BadRequest("The request line is not HTTP/1.")
    if len(lines) - 1 > MAX_FIELDS:
        raise BadRequest(f"The request has more than {MAX_FIELDS} header fields.")
    method = match[1].decode("ascii")
    version = f"HTTP/1.{match[3].decode('ascii')}"
    fields = tuple(_field(line) for line in lines[1:])
    target, authority, path = _target(method, match[2])
    return Head(
        method,
        target,
        authority,
        path,
        version,
        fields,
        _length(method, version, fields),
        _closes(version, fields),
    )


def check_fields(fields: tuple[tuple[bytes, bytes], ...]) -> None:
    """Raises BadRequest for a name or value that HTTP/1 could not carry; HTTP/2 requests pass here too."""
    for name, value in fields:
        if not _TOKEN.match(name) or not _VALUE.match(value):
            raise BadRequest("A header field holds characters that it must not.")


def _field(line: bytes) -> tuple[bytes, bytes]:
    if line[:1] in (b" ", b"\t"):
        raise BadRequest("A header field is folded over several lines.")
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    if not colon:
        raise BadRequest("A header field has no colon.")
    check_fields(((name, value),))
    return name, value


def _target(method: str, raw: bytes) -> tuple[tuple[str, str] | None, str, str]:
    text = raw.decode("latin-1")
    if method == "CONNECT":
        return None, text, ""
    if text.startswith("/") or text == "*":
        return None, "", text
    match = _ABSOLUTE.match(raw)
    if match is None:
        raise BadRequest("The request's target is neither a path nor a URL.")
    path = match[3].decode("latin-1")
    if not path.startswith("/"):
        path = "/" + path
    return (match[1].decode("ascii").lower(), match[2].decode("latin-1")), "", path.partition("#")[0]


def _length(method: str, version: str, fields: tuple[tuple[bytes, bytes], ...]) -> int | None:
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    codings = [value for name, value in fields if name.lower() == b"transfer-encoding"]
    if method == "CONNECT" and (codings or any(length != b"0" for length in lengths)):
        raise BadRequest("A CONNECT request has no body.")
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked" or version != "HTTP/1.1":
            raise BadRequest("The request does not say clearly where its body ends.")
        return None
    if len(lengths) > 1 or any(not _LENGTH.match(length) for length in lengths):
        raise BadRequest("The request does not say clearly how long its body is.")
    return int(lengths[0]) if lengths else 0


def _closes(version: str, fields: tuple[tuple[bytes, bytes], ...]) -> bool:
    options = {
        option.strip().lower()
        for name, value in fields
        if name.lower() in (b"connection", b"proxy-connection")
        for option in value.split(b",")
    }
    return b"close" in options or (version == "HTTP/1.0" and b"keep-alive" not in options)
