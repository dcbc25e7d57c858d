"""The strict policy that a run would have needed, from the requests it made. Pure.

Paths are generalised modestly: what looks like an identifier becomes `*`, and where one method of a host
still has many paths, they share their first segment, or all become `/**`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from engine.config.rules import MAX_SEGMENTS, HostRules, RequestRule, parse_rule, parse_rule_host
from engine.errors import UsageError
from engine.events import RequestRecord
from engine.proxy.opaque import PASSTHROUGH
from engine.proxy.replay import Seen, seen

MANY = 8  # paths of one method and host

_IDENTIFIER = re.compile(
    r"[0-9]+"  # a number
    r"|(?=[0-9a-f-]*[0-9])[0-9a-f]{7,}(?:-[0-9a-f]{4,}){0,4}"  # a hash, a UUID
    r"|(?=[^0-9]*[0-9])[A-Za-z0-9_-]{20,}"  # a token
)
_PLAIN = re.compile(r"[A-Za-z0-9._~!$&'()+,=:@-]+")


class Suggestion(msgspec.Struct, frozen=True):
    """rules and passthrough for a strict policy. left_out: destinations that no rule can name."""

    rules: tuple[HostRules, ...] = ()
    passthrough: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def network(self) -> dict[str, object]:
        """As agent.yaml's `network:` says it."""
        rules: list[object] = [
            {entry.host: [str(rule) for rule in entry.rules]} if entry.rules else entry.host
            for entry in self.rules
        ]
        block: dict[str, object] = {"policy": "strict"}
        if rules:
            block["rules"] = rules
        if self.passthrough:
            block["passthrough"] = list(self.passthrough)
        return block


def suggest(records: Iterable[RequestRecord]) -> Suggestion:
    """From what was allowed; what was refused was not needed. A host of a grant is closed at its end, since
    it would be open otherwise.
    """
    requests: dict[str, list[Seen]] = defaultdict(list)
    granted: set[str] = set()
    opaque: set[str] = set()
    left_out: set[str] = set()
    for record in records:
        if record.decision != "allowed":
            continue
        if record.rule == PASSTHROUGH:
            host = record.url.removesuffix(":443")
            (opaque if _can_be_named(host) else left_out).add(host)
            continue
        request = seen(record)
        if request is None:
            continue
        port = request.destination.port
        host = request.destination.host if port in (443, 80) else str(request.destination)
        if request.destination.ip or not _can_be_named(host):
            left_out.add(host)
            continue
        requests[host].append(request)
        if record.grant:
            granted.add(host)
    entries = {host: _entry(host, seen_there, host in granted) for host, seen_there in requests.items()}
    entries |= {host: HostRules(host) for host in opaque}  # what is not seen is allowed as a whole
    return Suggestion(
        tuple(entries[host] for host in sorted(entries)), tuple(sorted(opaque)), tuple(sorted(left_out))
    )


def _can_be_named(host: str) -> bool:
    try:
        return parse_rule_host(host) == host
    except UsageError:
        return False


def _entry(host: str, requests: Iterable[Seen], granted: bool) -> HostRules:
    by_method: dict[str, set[str]] = defaultdict(set)
    for request in requests:
        by_method[request.method].add(pattern(request.path))
    by_path: dict[str, set[str]] = defaultdict(set)
    for method, paths in by_method.items():
        for path in _fewer(paths):
            by_path[path].add(method)
    rules = [RequestRule(True, tuple(sorted(by_path[path])), path) for path in sorted(by_path)]
    if granted:
        rules.append(RequestRule(allow=False))
    return HostRules(host, tuple(rules))


def pattern(path: str) -> str:
    """A rule's path for one request's. What a rule cannot say becomes a star, or all of it `/**`."""
    segments = path.split("/")[1:]
    if segments and not segments[-1]:
        segments.pop()  # a trailing slash, which rules do not look at
    if not all(segments) or any(segment in (".", "..") for segment in segments):
        return "/**"
    # an encoded slash may be read as one: then the number of segments is not known
    if len(segments) > MAX_SEGMENTS or re.search("%2f", path, re.IGNORECASE):
        return "/**"
    said = "/" + "/".join("*" if _varies(segment) else segment for segment in segments)
    try:
        return parse_rule(f"allow GET {said}").path
    except UsageError:
        return "/**"


def _varies(segment: str) -> bool:
    return _PLAIN.fullmatch(segment) is None or _IDENTIFIER.fullmatch(segment) is not None


def _fewer(paths: set[str]) -> set[str]:
    """At most MANY, each step giving away more; then all that a wider one covers is left out."""
    steps: tuple[Callable[[str], str], ...] = (lambda path: path, _first_segment, lambda path: "/**")
    for step in steps:
        shorter = {step(path) for path in paths}
        if len(shorter) <= MANY:
            break
    return {"/**"} if "/**" in shorter else shorter


def _first_segment(path: str) -> str:
    first, more, _ = path[1:].partition("/")
    return f"/{first}/**" if more else path
