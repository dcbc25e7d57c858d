"""What a policy would have said to a request that is in the log. Pure.

The log is redacted and holds what was decided on, not every header: agreement of CONNECT, SNI and Host was
judged then and is taken as given here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from engine.events import RequestRecord
from engine.proxy.decision import Decision, RequestHead
from engine.proxy.destination import BadDestination, Destination, parse_authority
from engine.proxy.policy import Policy, decide

ALLOWED, DENIED, ASKED = "allowed", "denied", "asked"
# What only the policy says; other refusals (a bad certificate, a mismatch, a private address) would stay.
POLICY_RULES = frozenset({"not-allowed", "ip-literal", "rule-denied"})
_PORTS = {"https": 443, "http": 80}


class Change(msgspec.Struct, frozen=True):
    """count requests of one method and URL that were `before` and would be `after`. rule: what says so."""

    before: str
    after: str
    method: str
    url: str
    rule: str
    count: int


class Seen(msgspec.Struct, frozen=True):
    """A request of the log, taken apart. path: without its query."""

    method: str
    destination: Destination
    tls: bool
    path: str


def seen(record: RequestRecord) -> Seen | None:
    """None for what is no request to some host: a refused tunnel, a connection that spoke no HTTP."""
    parts = urlsplit(record.url)
    if parts.scheme not in _PORTS or not record.method or record.method == "CONNECT":
        return None
    try:
        destination = parse_authority(parts.netloc, _PORTS[parts.scheme])
    except BadDestination:
        return None
    return Seen(record.method, destination, parts.scheme == "https", parts.path or "/")


def judge(request: Seen, policy: Policy) -> Decision:
    port = 443 if request.tls else 80
    head = RequestHead(
        method=request.method,
        path=request.path,
        headers=(),
        hosts=(request.destination.authority(port),),
        connect=request.destination,
        tls=request.tls,
        sni=None if request.destination.ip else request.destination.host,
    )
    return decide(head, policy)


def changes(records: Iterable[RequestRecord], policy: Policy) -> tuple[Change, ...]:
    """What would be decided otherwise, each kind of request once, the newly denied first."""
    found: Counter[tuple[str, str, str, str, str]] = Counter()
    for record in records:
        request = seen(record)
        if request is None or (record.decision == DENIED and record.rule not in POLICY_RULES):
            continue
        decision = judge(request, policy)
        after = ALLOWED if decision.allowed else ASKED if decision.ask else DENIED
        if after != record.decision:
            url = record.url.partition("?")[0]
            found[record.decision, after, request.method, url, decision.rule] += 1
    order = (DENIED, ASKED, ALLOWED)
    return tuple(
        Change(*kind, count)
        for kind, count in sorted(found.items(), key=lambda item: (order.index(item[0][1]), item[0]))
    )
