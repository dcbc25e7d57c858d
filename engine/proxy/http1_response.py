"""Reads an upstream's HTTP/1 response head, for both lanes. No I/O.

On a connection that is used again the next response may belong to another request: a head that two readers
could take for two things is not passed on. What is written as every server writes it is read here at once;
the rest goes through mitmproxy's reader and checks, bare LF mended, and is refused where those refuse it.
"""

from __future__ import annotations

import re

import msgspec
from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.net.http.validate import validate_headers

from engine.proxy.http1_head import check_fields
from engine.proxy.inject import HeaderList

MAX_HEAD = 256 * 1024  # bytes
MAX_HINTS = 100  # interim responses (100, 103) to one request

_END = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: ([!-~](?:[ -~]*[!-~])?)?)?\r\n")
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*"
    rb"((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*\r\n"
)
_LENGTH = re.compile(rb"(?:0|[1-9][0-9]{0,17})\Z")
_BODILESS = (204, 304)


class BadResponse(ValueError):
    """The text is safe for the log: it quotes nothing."""


class ResponseHead(msgspec.Struct, frozen=True):
    """length: bytes of body, None when it is chunked, -1 when it ends with the connection."""

    version: bytes
    status: int
    reason: bytes
    fields: HeaderList
    length: int | None
    closes: bool


def find_end(data: bytearray) -> int:
    """The length of the head including its empty line, 0 while it is not complete. Raises BadResponse."""
    if data.startswith((b"\n", b"\r\n")):  # an empty head, whatever follows; as mitmproxy's reader sees it
        raise BadResponse("the upstream's response head is not valid HTTP")
    found = _END.search(data)
    if (found.end() if found else len(data)) > MAX_HEAD:
        raise BadResponse("the upstream's response head is too long")
    return found.end() if found else 0


def parse_response(data: bytes, method: str) -> ResponseHead:
    """`data` is a whole head as measured by `find_end`; `method` is the request's. Raises BadResponse."""
    return _plain(data, method) or _odd(data, method)


def _plain(data: bytes, method: str) -> ResponseHead | None:
    """None for whatever is not written in the one usual way."""
    line = _STATUS_LINE.match(data)
    if line is None:
        return None
    status = int(line[1])
    fields: HeaderList = []
    length: int | None = -1
    closes = framed = False
    at, end = line.end(), len(data) - 2
    while at < end:
        field = _FIELD.match(data, at)
        if field is None:
            return None
        at = field.end()
        name, value = field[1], field[2]
        fields.append((name, value))
        match name.lower():
            case b"content-length":
                if framed or not _LENGTH.match(value):
                    return None
                framed, length = True, int(value)
            case b"transfer-encoding":
                if framed or value.lower() != b"chunked" or status in _BODILESS:
                    return None
                framed, length = True, None
            case b"connection":
                closes = closes or b"close" in value.lower()
    if at != end or data[end:] != b"\r\n":
        return None
    if method.upper() == "HEAD" or status in _BODILESS:
        length = 0
    return ResponseHead(b"HTTP/1.1", status, line[2] or b"", fields, length, closes)


def _odd(data: bytes, method: str) -> ResponseHead:
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")[:-2]]
    response = read_lines(lines, method)
    head = response.data
    length = _size(method, response)
    return ResponseHead(
        head.http_version,
        head.status_code,
        head.reason,
        list(head.headers.fields),
        length,
        http1.connection_close(head.http_version, head.headers),  # type: ignore[no-untyped-call]
    )


def read_lines(lines: list[bytes], method: str) -> http.Response:
    """A head, line by line, as mitmproxy's message, after all checks. Raises BadResponse."""
    try:
        if any(b"\0" in line or b"\r" in line or line[:1] in (b" ", b"\t") for line in lines):
            raise ValueError("control characters or folded lines")
        response = http1.read_response_head(lines)
        check_fields(response.headers.fields)
        validate_headers(response)
        if not 100 <= response.status_code < 1000:
            raise ValueError("not a status")
        _size(method, response)
    except (ValueError, IndexError) as error:
        raise BadResponse("the upstream's response head is not valid HTTP") from error
    return response


def _size(method: str, response: http.Response) -> int | None:
    return http1.expected_http_body_size(http.Request.make(method, "http://upstream/"), response)
