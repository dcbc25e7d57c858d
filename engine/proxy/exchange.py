"""One request on its way through, from its head to its record."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable

import msgspec

from engine.events import RequestRecord, timestamp
from engine.proxy.answers import Answer
from engine.proxy.capture import Capture
from engine.proxy.decision import Decision
from engine.proxy.decoys import RequestWatch
from engine.proxy.mask import REDACTED
from engine.proxy.redact import Redactor
from engine.proxy.scrub_response import ResponseScrubber

_MAX_ERROR = 500  # characters


class Exchange:
    """Gathers what the record needs. Values stay raw here and are redacted when `record` builds it."""

    def __init__(self, redactor: Redactor, method: str, url: str, host: str = "") -> None:
        self._redactor = redactor
        self._began = time.monotonic()
        self._ended = 0.0
        self.id = "req_" + secrets.token_hex(6)
        self.ts = timestamp()
        self.method = method
        self.url = url
        self.host = host
        self.decision: Decision | None = None
        self.grant = ""
        self.rule = ""
        self.denied = False
        self.held = False  # it waits for a person's answer
        self.audited = False  # whether the denial has its audit entry
        self.error = ""
        self.reason = ""  # why Moat itself answered
        self.status = 0
        self.upgrade = False
        self.finished = False
        self.scrubber: ResponseScrubber | None = None  # set when a credential goes along
        self.watch: RequestWatch | None = None  # set when the run has decoys
        self.request = Capture(redactor.capture_limit)
        self.response = Capture(redactor.capture_limit)
        self._ttfb = 0
        self._request_headers: tuple[tuple[bytes, bytes], ...] = ()
        self._response_headers: tuple[tuple[bytes, bytes], ...] = ()
        self._head: RequestRecord | None = None  # what is known while it is open, redacted

    def __repr__(self) -> str:
        return f"Exchange({self.id})"

    def sent(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._request_headers = tuple(headers)
        self._head = None

    def answered(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """The response's head is here; the time to it is the time to first byte."""
        self.status = status
        self._response_headers = tuple(headers)
        self._ttfb = self._elapsed()
        self._head = None

    def answer(self, answer: Answer) -> None:
        """Moat answers itself."""
        self.answered(answer.status, answer.headers())
        self.response.see(REDACTED.encode() if answer.private else answer.body())
        self.rule = self.rule or answer.rule
        self.denied = self.denied or answer.denied
        self.reason = answer.why or answer.text.partition("\n")[0]
        if not answer.denied and not answer.private:
            self.error = self.error or self.reason

    def withdraw(self) -> None:
        """Its client went while it was held: it was never allowed."""
        self.held, self.denied, self.rule = False, True, "approval-withdrawn"
        self.reason = self.error = "the client went away before a person had answered"

    def credential_chosen(self, redactor: Redactor) -> None:
        """redactor: as it is now; an older one does not know a credential that was renewed since then."""
        self._redactor = redactor
        self._head = None

    @property
    def refused(self) -> bool:
        """Whether the service said that the grant's credential is not good (RFC 9110 §15.5.2, RFC 6750 §3.1).

        403 alone only says that it is not enough.
        """
        if not self.grant or self.status not in (401, 403):
            return False
        challenge = _first(self._response_headers, b"www-authenticate").lower()
        return self.status == 401 or "invalid_token" in challenge

    def tunnelled(self, data: bytes, *, outwards: bool) -> None:
        """Bytes after a protocol switch: counted, not kept."""
        if outwards:
            self.request.total += len(data)
        else:
            self.response.total += len(data)

    @property
    def age(self) -> float:
        """Seconds since its head was read, up to its end."""
        return (self._ended or time.monotonic()) - self._began

    @property
    def ended(self) -> bool:
        return self._ended > 0

    def end(self) -> None:
        """It is over now, however much later its record is built."""
        self._ended = self._ended or time.monotonic()

    def _elapsed(self) -> int:
        return round(self.age * 1000)

    def operation(self) -> str:
        """What was tried, for an audit entry; redacted."""
        return f"{self._redactor.text(self.method)[:20]} {self._redactor.url(self.url)[:500]}"

    @property
    def described(self) -> bool:
        """Whether `so_far` is cheap: nothing has to be redacted for it."""
        return self._head is not None

    def so_far(self, last: RequestRecord | None) -> RequestRecord:
        """What is known of a request that goes on, redacted as its record; `last` when nothing has moved.

        Without bodies: a preview that may still grow cannot be redacted once for all.
        """
        if self._head is None:
            redact = self._redactor
            self._head = RequestRecord(
                id=self.id,
                ts=self.ts,
                method=redact.text(self.method)[:20],
                url=redact.url(self.url),
                host=redact.text(self.host),
                status_code=self.status,
                ttfb_ms=self._ttfb,
                grant=self.grant,
                request_headers=redact.headers(self._request_headers),
                response_headers=redact.headers(self._response_headers),
            )
            last = None
        received, sent = self.response.total, self.request.total
        if last is not None and (last.bytes_in, last.bytes_out) == (received, sent):
            return last
        return msgspec.structs.replace(
            self._head, duration_ms=self._elapsed(), bytes_in=received, bytes_out=sent
        )

    def shown(self, path: str) -> tuple[str, str]:
        """Method and path as a person may see them: redacted, and no longer than one can read."""
        return self._redactor.text(self.method)[:20], self._redactor.url(path)[:2000]

    def record(self) -> RequestRecord:
        """Redacted through and through; to be called once, when the exchange has ended."""
        redact = self._redactor
        return RequestRecord(
            id=self.id,
            ts=self.ts,
            method=redact.text(self.method)[:20],
            url=redact.url(self.url),
            host=redact.text(self.host),
            status_code=self.status,
            duration_ms=self._elapsed(),
            ttfb_ms=self._ttfb,
            bytes_in=self.response.total,
            bytes_out=self.request.total,
            decision="denied" if self.denied else "allowed",
            rule=self.rule,
            grant=self.grant,
            refused=self.refused,
            request_headers=redact.headers(self._request_headers),
            response_headers=redact.headers(self._response_headers),
            request_body=self._preview(self.request, self._request_headers),
            response_body=self._preview(self.response, self._response_headers),
            scrubbed=self.scrubber.hits.total() if self.scrubber else 0,
            error=self._explained(redact.text(redact.masker.mask(self.error, cut=True))[:_MAX_ERROR]),
        )

    def _explained(self, error: str) -> str:
        return f"the service refused the credential of grant {self.grant}" if self.refused else error

    def _preview(self, capture: Capture, headers: tuple[tuple[bytes, bytes], ...]) -> str:
        # a body that was cut off by an error may end inside a value as well as one that was too long
        return self._redactor.body(
            capture.data,
            _first(headers, b"content-type"),
            _first(headers, b"content-encoding"),
            cut=capture.cut or bool(self.error),
        )


def _first(headers: tuple[tuple[bytes, bytes], ...], wanted: bytes) -> str:
    for name, value in headers:
        if name.lower() == wanted:
            return value.decode("latin-1")
    return ""
