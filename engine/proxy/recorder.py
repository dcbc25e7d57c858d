"""What the proxy needs from whoever keeps the run's audit log and request log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.events import RequestRecord

INJECT = "inject"
FETCH = "fetch"  # a temporary credential was given to the run itself
INJECT_REPLACED = "inject-replaced"  # the client's own, foreign value was there and was replaced


class Recorder(Protocol):
    async def credential(self, grant: str, action: str, host: str) -> None:
        """The audit intent. Returns when it is durable; any error it raises refuses the request."""

    async def approved(self, host: str, operation: str, rule: str, message: str) -> None:
        """A request that a person let go. Returns when it is durable; any error it raises refuses it."""

    async def alarm(self, host: str, operation: str, rule: str, message: str) -> None:
        """The run's network was frozen, by this request. Returns when it is durable."""

    async def denied(self, host: str, operation: str, rule: str, message: str) -> None:
        """A request that policy refused. `operation` is e.g. "GET https://host/path", redacted."""

    def open(self, requests: Sequence[RequestRecord]) -> None:
        """All requests that have been open for a while, whenever that has changed; redacted, without
        bodies, the sizes and the duration as they are so far. Must not block and must not fail.
        """

    async def scrubbed(self, host: str, operation: str, message: str) -> None:
        """A response that carried credentials, which were taken out: once a request, when it has ended."""

    async def passed(self, host: str, operation: str, rule: str) -> None:
        """A tunnel that was let through unseen, when it begins. `rule` says why."""

    async def finished(self, record: RequestRecord) -> None:
        """Every request, once, when it ended in whatever way; redacted already."""
