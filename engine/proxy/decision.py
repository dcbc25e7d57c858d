"""What the policy is asked and what it answers: a request's head, the grant that goes along, a decision."""

from __future__ import annotations

import msgspec

from engine.proxy.destination import Destination, HostPattern

type Headers = tuple[tuple[bytes, bytes], ...]


class RequestHead(msgspec.Struct, frozen=True):
    """What the client said, and where it said it.

    connect: the tunnel's destination, None for a request made to the proxy itself.
    tls, sni: whether TLS runs inside the tunnel, and the name its ClientHello carried.
    authority: HTTP/2's :authority, None in HTTP/1. hosts: every Host header, as sent.
    target: `(scheme, authority)` of an absolute-form request line, None for origin-form.
    """

    method: str
    path: str
    headers: Headers
    hosts: tuple[str, ...]
    authority: str | None = None
    connect: Destination | None = None
    tls: bool = False
    sni: str | None = None
    target: tuple[str, str] | None = None


class GrantRule(msgspec.Struct, frozen=True):
    """One rule of one grant without its value; `index` finds the value in the spec again."""

    grant: str
    index: int
    pattern: HostPattern
    header: str


class Decision(msgspec.Struct, frozen=True):
    """Allowed: where to, and which grant rule's credential goes along, if any; `rule` is the rule of
    `network.rules` that allowed it, empty when none had to.

    Denied: `status` (400 for nonsense, 403 for policy), `rule` (a short name that is stable in logs),
    `message` and `remedy` for a person, `alarm` when a run tried to move a credential's stand-in. `ask`:
    nothing names it, and under the policy `ask` a person may allow it yet.
    """

    allowed: bool
    destination: Destination | None = None
    grant: GrantRule | None = None
    status: int = 0
    rule: str = ""
    message: str = ""
    remedy: str = ""
    alarm: bool = False
    ask: bool = False


class Denied(Exception):
    def __init__(self, decision: Decision) -> None:
        self.decision = decision


def deny(
    status: int,
    rule: str,
    message: str,
    remedy: str = "",
    destination: Destination | None = None,
    alarm: bool = False,
    ask: bool = False,
) -> Denied:
    return Denied(Decision(False, destination, None, status, rule, message, remedy, alarm, ask))
