"""What the proxy itself gives to its run, on its own port, against the run's token. Pure but for `give`.

A client asks for it as it would ask a web server: origin-form, `Authorization: Bearer <run token>`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable

import msgspec

from engine.errors import MoatError
from engine.proxy.answers import Answer
from engine.proxy.decision import Decision, RequestHead
from engine.proxy.destination import HostPattern
from engine.proxy.mask import Masker

_BEARER = re.compile(rb"bearer[ \t]+([!-~]+)[ \t]*\Z", re.IGNORECASE)
_JSON = "application/json"
OWN_NAME = "moat"  # for the log, whatever name the client used


class Given(msgspec.Struct, frozen=True):
    """body: JSON, for the run alone. host: whose answer it is. secrets: what of it is to be blotted out."""

    body: str
    host: str
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Given(host={self.host!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("host", self.host)]


class Served(msgspec.Struct, frozen=True):
    """hosts: where what was given may be sent. give: raises MoatError when there is nothing to give."""

    path: str
    grant: str
    hosts: tuple[str, ...]
    give: Callable[[], Awaitable[Given]]

    def wanted(self, head: RequestHead) -> bool:
        return (
            head.connect is None and head.target is None and head.path == self.path and head.method == "GET"
        )


def token_shown(head: RequestHead, token: str) -> bool:
    """Compared in constant time; of two values neither counts."""
    values = [value for name, value in head.headers if name.lower() == b"authorization"]
    found = _BEARER.match(values[0]) if len(values) == 1 else None
    return hmac.compare_digest(found.group(1) if found else b"", token.encode("ascii"))


NO_TOKEN = Decision(
    False, None, None, 401, "run-token", "This needs the run's token.", "Send Authorization: Bearer TOKEN."
)


class Whereabouts:
    """What was given, and where it may go. Only headers and the URL are looked at, as for placeholders."""

    def __init__(self, served: Served) -> None:
        self._grant = served.grant
        self._hosts = tuple(HostPattern.parse(pattern) for pattern in served.hosts)
        self._known = Masker(())

    def learn(self, what: Given) -> None:
        self._known.learn(what.secrets)

    def astray(self, head: RequestHead, decision: Decision) -> Decision | None:
        """The refusal of a request that carries it to another place, or in the clear."""
        destination = decision.destination
        if destination is None or (head.tls and any(pattern.matches(destination) for pattern in self._hosts)):
            return None
        texts = [head.path, *(value.decode("latin-1") for _, value in head.headers)]
        if not any(map(self._known.holds, texts)):
            return None
        return Decision(
            False,
            destination,
            None,
            403,
            "credential-astray",
            f"The temporary credentials of grant {self._grant} were sent to {destination.host}"
            + (", which that grant does not cover." if head.tls else " in the clear."),
            "They go only to their own service, over TLS: check the address that was configured.",
            alarm=True,
        )


def given(what: Given) -> Answer:
    return Answer(200, "", what.body, kind=_JSON, private=True, why="given to the run")


def not_given(error: MoatError, rule: str) -> Answer:
    text = msgspec.json.encode({"error": error.what, "detail": error.detail, "remedy": error.remedy})
    return Answer(500, rule, text.decode() + "\n", kind=_JSON, why=str(error))
