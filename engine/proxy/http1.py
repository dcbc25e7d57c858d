"""HTTP/1 on both sides, for mitmproxy's layers: our strict heads, trailers, plain-text errors.

What is replaced and why: mitmproxy's reader takes bare LF and folded headers, has no limit on a head,
raises on trailers, takes 1xx for the final response, and forwards an HTTP/2 body without framing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h11
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._http1 import Http1Client, Http1Connection, Http1Server, make_body_reader

from engine.proxy.answers import REASONS
from engine.proxy.http1_head import HEAD_TIMEOUT, BadRequest, Head, find_end, parse_head
from engine.proxy.http1_response import MAX_HEAD, MAX_HINTS, BadResponse, read_lines

# of a body whose request was refused already: read so that the client gets to see the answer, then close
_MAX_IGNORED = 64 * 1024 * 1024


class HeadedRequest(http.Request):
    """A request that still knows its head as it came over the wire."""

    head: Head


@dataclass
class MalformedHeadHook(commands.StartHook):  # type: ignore[no-untyped-call]
    """The client sent something that is not an HTTP/1 request; it is answered with 400 and closed."""

    message: str


def error_text(status: int) -> str:
    if status == 400:
        return "Moat's proxy could not read this request.\n"
    return "The upstream's answer was broken or is not valid HTTP.\n"


def plain(status: int, text: str) -> bytes:
    body = text.encode("utf-8")
    return (
        b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
        b"x-moat-decision: failed\r\nconnection: close\r\n\r\n"
        % (status, REASONS.get(status, b"Error"), len(body))
    ) + body


def _last_chunk(trailers: http.Headers | None) -> bytes:
    return b"0\r\n%s\r\n" % (bytes(trailers) if trailers else b"")


class _Trailers(Http1Connection):
    """Reads a body as mitmproxy does, and hands its trailers on."""

    receive_trailers: Callable[[int, http.Headers], HttpEvent]

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        assert self.stream_id is not None
        while True:
            try:
                if isinstance(event, events.DataReceived):
                    part: Any = self.body_reader(self.buf)
                else:
                    part = self.body_reader.read_eof()
            except h11.ProtocolError:
                yield commands.CloseConnection(self.conn)
                yield ReceiveHttp(
                    self.ReceiveProtocolError(
                        self.stream_id,
                        "a body that is not framed as announced",
                        self.ReceiveProtocolError.code,
                    )
                )
                return
            if part is None:
                return
            if isinstance(part, h11.Data):
                if data := bytes(part.data):
                    yield ReceiveHttp(self.ReceiveData(self.stream_id, data))
                continue
            assert self.request is not None
            if part.headers:
                trailers = http.Headers([(bytes(name), bytes(value)) for name, value in part.headers])
                yield ReceiveHttp(self.receive_trailers(self.stream_id, trailers))
            if self.request.data.method != b"CONNECT":
                yield ReceiveHttp(self.ReceiveEndOfMessage(self.stream_id))
            is_request = isinstance(self, Http1Server)
            yield from self.mark_done(request=is_request, response=not is_request)
            return


class StrictHttp1Server(_Trailers, Http1Server):
    """The side towards the agent."""

    receive_trailers = RequestTrailers

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._closes = False
        self._old = False
        self._chunked = False
        self._trailers: http.Headers | None = None
        self._ignored = 0
        self._patience: commands.RequestWakeup | None = None  # while a head is due

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.Wakeup):
            if event.command is self._patience:
                yield from self._too_slow()
            return
        answered = self.response_done and not self.request_done
        if answered and isinstance(event, events.DataReceived) and self.state == self.read_body:
            self._ignored += len(event.data)
            if self._ignored > _MAX_IGNORED:
                self.state = self.done
                yield commands.CloseConnection(self.conn)
                return
        yield from super()._handle_event(event)
        if isinstance(event, events.Start):
            yield from self._wait_for_head()

    def _wait_for_head(self) -> CommandGenerator[None]:
        self._patience = commands.RequestWakeup(HEAD_TIMEOUT)
        yield self._patience

    def _too_slow(self) -> CommandGenerator[None]:
        if self.buf:
            yield from self._refuse(f"The request's head did not arrive within {HEAD_TIMEOUT:.0f} seconds.")
        else:
            self.state = self.done
            yield commands.CloseConnection(self.conn)

    def _refuse(self, message: str) -> CommandGenerator[None]:
        self.state = self.done
        yield MalformedHeadHook(message)
        yield commands.SendData(self.conn, plain(400, f"{message}\n"))
        yield commands.CloseConnection(self.conn)

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        if not isinstance(event, events.DataReceived):
            yield commands.CloseConnection(self.conn)
            return
        received = bytes(self.buf)
        data = received.lstrip(b"\r\n")  # RFC 9112 §2.2: empty lines before a request line are ignored
        if len(data) < len(received):
            self.buf.maybe_extract_at_most(len(received) - len(data))
        try:
            end = find_end(data)
            if not end:
                if data and self._patience is None:
                    yield from self._wait_for_head()
                return
            head = parse_head(data[:end])
        except BadRequest as error:
            yield from self._refuse(str(error))
            return
        self._patience = None
        self.buf.maybe_extract_at_most(end)
        self.request = request = _request(head)
        self._closes, self._old = head.closes, head.version == "HTTP/1.0"
        self._ignored = 0
        yield ReceiveHttp(RequestHeaders(self.stream_id, request, head.length == 0))
        self.body_reader = make_body_reader(head.length)
        self.state = self.read_body
        yield from self.state(event)

    def send(self, event: HttpEvent) -> CommandGenerator[None]:
        if event.stream_id != self.stream_id:
            return
        if isinstance(event, ResponseHeaders):
            yield from self._send_head(event.response)
        elif isinstance(event, ResponseData):
            data = event.data
            if data:
                yield commands.SendData(self.conn, _chunk(data) if self._chunked else data)
        elif isinstance(event, ResponseTrailers):
            self._trailers = event.trailers
        elif isinstance(event, ResponseEndOfMessage):
            if self._chunked:
                yield commands.SendData(self.conn, _last_chunk(self._trailers))
            yield from self.mark_done(response=True)
        elif isinstance(event, ResponseProtocolError):
            if not self.conn.state & ConnectionState.CAN_WRITE:
                return
            status = event.code.http_status_code()
            if self.response is None and status is not None:
                yield commands.SendData(self.conn, plain(status, error_text(status)))
            yield commands.CloseConnection(self.conn)

    def _send_head(self, response: http.Response) -> CommandGenerator[None]:
        assert self.request is not None
        if 100 <= response.status_code < 200 and response.status_code != 101:
            yield commands.SendData(self.conn, _response_head(response))
            return
        self.response = response
        self._trailers = None
        self._chunked = http1.expected_http_body_size(self.request, response) is None
        if self._chunked and self._old:
            # HTTP/1.0 knows no chunks: the end of the connection is the end of the body
            del response.headers["transfer-encoding"]
            self._chunked = False
            self._closes = True
        connecting = self.request.method == "CONNECT" and response.status_code == 200
        if self._closes and response.status_code != 101 and not connecting:
            response.headers["connection"] = "close"
        yield commands.SendData(self.conn, _response_head(response))


def _request(head: Head) -> HeadedRequest:
    """Where it goes is decided later, from `head`; host and port here are never used to connect."""
    request = HeadedRequest(
        host="undecided.invalid",
        port=0,
        method=head.method.encode("ascii"),
        scheme=b"",
        authority=head.authority.encode("latin-1"),
        path=head.path.encode("latin-1"),
        http_version=b"HTTP/1.1",
        headers=http.Headers(head.fields),
        content=None,
        trailers=None,
        timestamp_start=time.time(),
        timestamp_end=None,
    )
    request.head = head
    return request


def _response_head(response: http.Response) -> bytes:
    return bytes(http1.assemble_response_head(response))  # type: ignore[no-untyped-call]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class StrictHttp1Client(_Trailers, Http1Client):
    """The side towards the upstream."""

    receive_trailers = ResponseTrailers

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._chunked = False
        self._trailers: http.Headers | None = None
        self._hints = 0

    def send(self, event: HttpEvent) -> CommandGenerator[None]:
        if isinstance(event, RequestProtocolError):
            yield commands.CloseConnection(self.conn)
            return
        if isinstance(event, RequestHeaders):
            self.stream_id = event.stream_id
            self.request = event.request
            self._trailers = None
            self._hints = 0
            yield commands.SendData(self.conn, self._head(event.request, event.end_stream))
        elif isinstance(event, RequestData):
            data = event.data
            if data:
                yield commands.SendData(self.conn, _chunk(data) if self._chunked else data)
        elif isinstance(event, RequestTrailers):
            self._trailers = event.trailers
        elif isinstance(event, RequestEndOfMessage):
            if self._chunked:
                yield commands.SendData(self.conn, _last_chunk(self._trailers))
            yield from self.mark_done(request=True)

    def _head(self, request: http.Request, end_stream: bool) -> bytes:
        if request.is_http2:
            request = request.copy()
            request.http_version = "HTTP/1.1"
            cookies = request.headers.get_all("cookie")
            if len(cookies) > 1:  # RFC 9113 §8.2.3: HTTP/2 may split what HTTP/1 may not
                request.headers["cookie"] = "; ".join(cookies)
            request.headers.insert(0, "Host", request.authority)
            if end_stream and "content-length" in request.headers:
                request.headers["content-length"] = (
                    "0"  # what ended without a body has none, whatever it says
                )
            elif not end_stream and "content-length" not in request.headers:
                request.headers["transfer-encoding"] = "chunked"
        request.authority = ""
        self._chunked = "transfer-encoding" in request.headers
        return bytes(http1.assemble_request_head(request))  # type: ignore[no-untyped-call]

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        if not isinstance(event, events.DataReceived):
            if self.conn.state & ConnectionState.CAN_WRITE:
                yield commands.CloseConnection(self.conn)
            if self.stream_id:
                yield from self._broken("the upstream closed the connection before it answered")
            return
        if self.request is None or self.stream_id is None:
            yield commands.CloseConnection(self.conn)  # it speaks without being asked
            return
        while True:
            lines = self.buf.maybe_extract_lines()
            try:
                if lines is None:
                    if len(self.buf) > MAX_HEAD:
                        raise BadResponse("the upstream's response head is too long")
                    return
                response = read_lines([bytes(line) for line in lines], self.request.method)
                size = http1.expected_http_body_size(self.request, response)
            except BadResponse as error:
                yield commands.CloseConnection(self.conn)
                yield from self._broken(str(error))
                return
            if not 100 <= response.status_code < 200 or response.status_code == 101:
                break  # 100 and 103 are hints between us and the upstream
            self._hints += 1
            if self._hints > MAX_HINTS:
                yield commands.CloseConnection(self.conn)
                yield from self._broken("the upstream sends hints without end")
                return
        self.response = response
        yield ReceiveHttp(ResponseHeaders(self.stream_id, response, size == 0))
        self.body_reader = make_body_reader(size)
        self.state = self.read_body
        yield from self.state(event)

    def _broken(self, message: str) -> CommandGenerator[None]:
        assert self.stream_id is not None
        yield ReceiveHttp(ResponseProtocolError(self.stream_id, message, ErrorCode.GENERIC_SERVER_ERROR))
