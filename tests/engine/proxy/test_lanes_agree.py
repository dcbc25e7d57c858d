"""The two lanes judge and forward the same: a differential fuzz of requests and of responses.

A short slice runs with the suite, the same cases each time; `make fuzz` runs for ten minutes on new ones.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.lanes import HOST, SENTINEL, Came, Lanes, both_lanes
from support.proxying import PLACEHOLDER

SECONDS = float(os.environ.get("MOAT_FUZZ_SECONDS", "0"))  # for all tests here together

_FUZZ = settings(
    max_examples=200 if SECONDS else 40,
    deadline=None,
    derandomize=not SECONDS,
    database=None,
    phases=[Phase.generate, Phase.shrink] if SECONDS else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Runner:
    """Both lanes in a loop that lives as long as the module's tests."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.directory = tempfile.TemporaryDirectory()
        self.lanes: Lanes = self.run(self.stack.enter_async_context(both_lanes(Path(self.directory.name))))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def compare(self, pieces: list[bytes], script: list[bytes]) -> None:
        fast, layers = self.run(self.lanes.try_both(pieces, script))
        assert_same(fast, layers, of_requests=not script)

    def close(self) -> None:
        self.run(self.stack.aclose())
        self.loop.close()
        self.directory.cleanup()


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    running = Runner()
    yield running
    running.close()


_LENGTH = re.compile(rb"content-length:", re.IGNORECASE)
# Moat's own 400, by no other rule than that it is no proper request
_MALFORMED = re.compile(rb"HTTP/1\.1 400 (?=.*x-moat-decision)(?!.*x-moat-rule: (?!malformed))", re.DOTALL)
MISFRAMED = "a body that is not framed as announced"
WHO = ("method", "url", "host", "grant")


def assert_same(fast: Came, layers: Came, *, of_requests: bool) -> None:
    if of_requests:
        _leave_to_chance(fast, layers)
        for came in (fast, layers):
            came.denials = [_without_wording(denial) for denial in came.denials]
            came.records = [_without_wording(record) for record in came.records]
            came.answers = _without_last_refusal([_without_wording(answer) for answer in came.answers])
    for name in ("upstream", "intents", "denials", "answers", "waits", "records"):
        assert getattr(fast, name) == getattr(layers, name), name


def _leave_to_chance(fast: Came, layers: Came) -> None:
    """A client that breaks its own body's framing is cut off. Whether mitmproxy's layers have begun to answer
    or to forward by then is a matter of time, so from there on only what was forwarded whole and granted is
    compared.
    """
    for at in range(max(len(fast.records), len(layers.records))):
        told = [came.records[at] for came in (fast, layers) if at < len(came.records)]
        if any(record["error"] == MISFRAMED for record in told):
            for came in (fast, layers):
                del came.answers[at:]
                came.upstream = [heard for heard in came.upstream if isinstance(heard, list)]
                came.records[at:] = [{name: record[name] for name in WHO} for record in came.records[at:]]
            return


def _without_wording(told: Any) -> Any:
    """Which of several faults of a malformed head is named depends on how much of it had come; that it is
    refused as malformed does not.
    """
    if isinstance(told, tuple) and "malformed" in told:
        return (*told[:-1], "")
    if isinstance(told, dict) and told.get("rule") == "malformed":
        return {**told, "error": "", "response_body": "", "bytes_in": 0}
    if isinstance(told, list) and told and _MALFORMED.match(told[0]):
        return [b"\r\n".join(line for line in told[0].split(b"\r\n") if not _LENGTH.match(line))]
    return told


def _without_last_refusal(answers: list[Any]) -> list[Any]:
    """A client that breaks framing right behind a malformed head may be cut off before it can read why; that
    it was refused stands in the denials and records.
    """
    last = answers[-1] if answers else None
    return answers[:-1] if isinstance(last, list) and last and _MALFORMED.match(last[0]) else answers


METHODS = st.sampled_from(
    [b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"PATCH", b"get", b"TRACE", b"CONNECT", b"G@T"]
)
TARGETS = st.sampled_from(
    [
        b"/", b"/a?b=c#d", b"*", b"//x/../y", b"/%00", b"/a b", b"/\xff", b"http://x/", b"",
        b"https://api.github.com/z", b"https://other.test/", b"api.github.com:443", b"/\t",
    ]
)  # fmt: skip
VERSIONS = st.sampled_from([b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 "])
FIELDS = st.sampled_from(
    [
        b"Host: api.github.com", b"host: API.GITHUB.COM.", b"Host: other.test", b"Host: api.github.com:443",
        b"Accept: */*", b"User-Agent: fuzz", b"X-Note: a  b\t", b"X-High: \xe9\xff", b"Empty:", b"X:y",
        b"Authorization: Bearer " + PLACEHOLDER.encode(), b"Authorization: Bearer own", b"Cookie: a=b",
        b"Connection: close", b"Connection: keep-alive", b"Connection: x-note, close", b"Keep-Alive: 5",
        b"Content-Length: 0", b"Content-Length: 3", b"Content-Length: 03", b"Content-Length: +3",
        b"Content-Length: 3, 3", b"Content-Length: -1", b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: CHUNKED", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity",
        b"Expect: 100-continue", b"Expect: 100-Continue", b"Expect: else", b"TE: trailers", b"TE: gzip",
        b"Trailer: X-Sum", b"Upgrade: h2c", b"Upgrade: websocket", b"Connection: Upgrade",
        b"Proxy-Authorization: Basic eDp5", b"Proxy-Connection: close", b" folded: x", b"No colon",
        b"Sp ace: x", b"Bad\x00: x", b"Val: \x00", b"Bare: a\rb", b"Bare: a\nb", b"Alt-Svc: h3",
        b"Max-Forwards: 0", b"Content-Encoding: gzip", b"X-Api-Key: x",
    ]
)  # fmt: skip
BODIES = st.sampled_from(
    [b""] * 4
    + [
        b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n", b"3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\nHost: x\r\n\r\n",
        b"1\r\na\r\n2\r\nbc\r\n0\r\nAuthorization: x\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"x\r\n", b"-1\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n", b"3 \r\nabc\r\n0\r\n\r\n", b"00003\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n",
    ]
)  # fmt: skip


@st.composite
def edited(draw: st.DrawFn, source: st.SearchStrategy[bytes]) -> bytes:
    """Sometimes with a byte put in, taken out or changed."""
    data = draw(source)
    if not data or draw(st.integers(0, 3)):
        return data
    at = draw(st.integers(0, len(data) - 1))
    new = draw(
        st.sampled_from([b"", b"\r", b"\n", b"\0", b" ", b"\t", b":", b"\r\n", b"0", b"\x80", b"\x0b"])
    )
    return data[:at] + new + data[at + draw(st.integers(0, 1)) :]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    usual = draw(st.integers(0, 2))
    line = b" ".join((draw(METHODS), draw(TARGETS), draw(VERSIONS)))
    fields = draw(st.lists(FIELDS, max_size=5))
    if usual:
        line = draw(st.sampled_from([b"GET /a HTTP/1.1", b"POST /b HTTP/1.1", b"HEAD /c HTTP/1.1"]))
        fields.insert(0, b"Host: api.github.com")
    return b"\r\n".join([line, *fields]) + b"\r\n\r\n" + draw(BODIES)


@st.composite
def pieces(draw: st.DrawFn) -> list[bytes]:
    data = b"".join(draw(st.lists(edited(requests()), min_size=1, max_size=3))) + SENTINEL
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if b > a]


STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 8
    + [
        b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.0 200 OK", b"HTTP/1.1 200",
        b"HTTP/1.1 200 ", b"HTTP/1.1  200  A  B ", b"HTTP/1.1 101 Switching", b"HTTP/1.1 099 X",
        b"HTTP/2 200 OK", b"HTTP/1.1 999 X", b"HTTP/1.1 2000 X", b"",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found",
        b"HTTP/1.1 200 \xe9", b"ICY 200 OK", b"HTTP/1.1 abc OK", b"http/1.1 200 OK", b"HTTP/1.1 502 A\tB",
    ]
)  # fmt: skip
RESPONSE_FIELDS = st.sampled_from(
    [
        b"Content-Type: text/plain", b"Content-Length: 3", b"Content-Length: 0", b"Content-Length: 3, 3",
        b"Content-Length: 03", b"Content-Length: x", b"Content-Length: 9", b"Transfer-Encoding: chunked",
        b"transfer-encoding: Chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: identity", b"Connection: close", b"Connection: keep-alive", b"Connection: CLOSE",
        b"Proxy-Authenticate: Basic", b"Alt-Svc: h3", b"Set-Cookie: a=b", b"Set-Cookie: c=d", b"X: \xe9 y \t",
        b" folded: x", b"No colon", b"Bad name: x", b"Nul: \x00", b"Bare: a\rb", b"Empty:", b"Trailer: X-Sum",
        b"Vt: \x0b", b"Upgrade: websocket",
    ]
)  # fmt: skip


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    fields = draw(st.lists(RESPONSE_FIELDS, max_size=4))
    end = draw(st.sampled_from([b"\r\n"] * 8 + [b"\n"]))
    return end.join([draw(STATUS_LINES), *fields]) + end + end + draw(BODIES)


def for_a_while(test: Callable[[Runner], None]) -> Callable[[Runner], None]:
    """Once in the suite; again and again, on new cases, for half of SECONDS."""

    @functools.wraps(test, assigned=("__module__", "__name__", "__doc__"))
    def repeated(runner: Runner) -> None:
        began = time.monotonic()
        test(runner)
        while time.monotonic() - began < SECONDS / 2:
            test(runner)

    del repeated.__wrapped__  # pytest must see the one argument only
    return repeated


@for_a_while
@_FUZZ
@given(sent=pieces())
def test_requests(runner: Runner, sent: list[bytes]) -> None:
    runner.compare(sent, [])


@for_a_while
@_FUZZ
@given(
    method=st.sampled_from([b"GET", b"GET", b"HEAD", b"POST"]),
    response=edited(responses()),
)
def test_responses(runner: Runner, method: bytes, response: bytes) -> None:
    # one request a connection: the upstream closes behind its response, which another would race with
    request = b"%b /a HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (method, HOST.encode())
    runner.compare([request], [response])
