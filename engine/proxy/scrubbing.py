"""A mitmproxy flow's response by way of its exchange's scrubber, and into the record."""

from __future__ import annotations

from collections.abc import Callable

from mitmproxy import flow as mflow
from mitmproxy import http

from engine.proxy import answers
from engine.proxy.exchange import Exchange
from engine.proxy.inject import HeaderList
from engine.proxy.scrub_response import ResponseScrubber, UnreadableBody
from engine.proxy.stream import ANSWER


def begin(flow: http.HTTPFlow, exchange: Exchange, fields: HeaderList) -> None:
    """Give the response these fields, as far as they may be seen, and a body that streams."""
    response = flow.response
    assert response is not None
    response.stream = exchange.response.see
    scrubber = exchange.scrubber
    if scrubber is not None:
        try:
            reason, fields = scrubber.head(
                flow.request.method, response.status_code, response.data.reason, fields
            )
        except UnreadableBody as error:
            _refuse(flow, exchange, error)
            return
        response.data.reason = reason
        response.stream = _streamed(scrubber, exchange.response.see)
    coded = "content-length" in response.headers and not any(
        n.lower() == b"content-length" for n, _ in fields
    )
    response.headers = http.Headers(fields)
    if coded and not flow.request.is_http2:
        response.headers["transfer-encoding"] = "chunked"
        response.http_version = "HTTP/1.1"


def trailers(flow: http.HTTPFlow, exchange: Exchange) -> None:
    response = flow.response
    if response is not None and response.trailers is not None and exchange.scrubber is not None:
        response.trailers = http.Headers(exchange.scrubber.trailers(list(response.trailers.fields)))


def _streamed(scrubber: ResponseScrubber, see: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    # mitmproxy asks with nothing for what is left at the end
    return lambda chunk: scrubber.body(see(chunk)) if chunk else scrubber.end()


def _refuse(flow: http.HTTPFlow, exchange: Exchange, error: UnreadableBody) -> None:
    assert flow.response is not None
    flow.response.headers = http.Headers()
    flow.response.data.reason = b""
    if flow.response.status_code == 101:
        exchange.error = str(error)
        flow.error = mflow.Error(mflow.Error.KILLED_MESSAGE)
        return
    flow.metadata[ANSWER] = answers.failure(
        502, "unreadable", exchange.host, f"{error}, so it is not passed on."
    )
