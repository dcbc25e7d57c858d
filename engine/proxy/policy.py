"""May this request go, where to, and with whose credential? Pure: a head and a policy in, a decision out.

A credential is chosen only when CONNECT host = SNI = Host/:authority = a host of the grant, on a granted
port, inside TLS. Everything the client says more than once must agree; what it says once is believed
only as far as the certificate check of the upstream bears it out. Whatever is not clearly allowed is not.
"""

from __future__ import annotations

import base64
import binascii
import re

import msgspec

from engine.errors import UsageError
from engine.proxy.destination import BadDestination, Destination, HostPattern, normalise_host, parse_authority
from engine.proxy.spec import STRICT, ProxySpec

type Headers = tuple[tuple[bytes, bytes], ...]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_PATH = re.compile(r"(?:/[^\x00-\x20\x7f]*|\*)\Z")
_BASIC = re.compile(rb"basic[ \t]+([A-Za-z0-9+/=_-]+)\s*\Z", re.IGNORECASE)


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


class Grant(msgspec.Struct, frozen=True):
    name: str
    rules: tuple[GrantRule, ...]
    placeholders: tuple[str, ...]


class Policy(msgspec.Struct, frozen=True):
    """The part of a ProxySpec that decides. Holds no credential."""

    strict: bool
    allow: tuple[HostPattern, ...] = ()
    grants: tuple[Grant, ...] = ()

    @classmethod
    def of(cls, spec: ProxySpec) -> Policy:
        """Raises UsageError for an allow entry or a grant's host that is not a host pattern.

        An allow entry without a port stands for 443 and 80.
        """
        allow: list[HostPattern] = []
        for entry in spec.allow:
            try:
                allow.append(HostPattern.parse(entry, (443, 80)))
            except BadDestination as error:
                raise UsageError(
                    f"not a host to allow: {entry!r}",
                    detail=str(error),
                    remedy="Write HOST, HOST:PORT or *.SUFFIX. For a private address use --connect-to.",
                ) from error
        grants: list[Grant] = []
        for injection in spec.injections:
            rules: list[GrantRule] = []
            for index, rule in enumerate(injection.rules):
                try:
                    pattern = HostPattern.parse(rule.pattern, rule.ports)
                except BadDestination as error:
                    raise UsageError(
                        f"grant {injection.grant} names a host that cannot be one: {rule.pattern!r}",
                        detail=str(error),
                    ) from error
                rules.append(GrantRule(injection.grant, index, pattern, rule.header.lower()))
            grants.append(Grant(injection.grant, tuple(rules), tuple(p for p in injection.placeholders if p)))
        return cls(spec.mode == STRICT, tuple(allow), tuple(grants))


class Decision(msgspec.Struct, frozen=True):
    """Allowed: where to, and which grant rule's credential goes along, if any.

    Denied: `status` (400 for nonsense, 403 for policy), `rule` (a short name that is stable in logs),
    `message` and `remedy` for a person, `alarm` when a run tried to move a credential's stand-in.
    """

    allowed: bool
    destination: Destination | None = None
    grant: GrantRule | None = None
    status: int = 0
    rule: str = ""
    message: str = ""
    remedy: str = ""
    alarm: bool = False


class _Denied(Exception):
    def __init__(self, decision: Decision) -> None:
        self.decision = decision


def _deny(
    status: int,
    rule: str,
    message: str,
    remedy: str = "",
    destination: Destination | None = None,
    alarm: bool = False,
) -> _Denied:
    return _Denied(Decision(False, destination, None, status, rule, message, remedy, alarm))


def decide(head: RequestHead, policy: Policy) -> Decision:
    """Never raises; see the module's text for the rules and DESIGN.md, "Rules that are never bent"."""
    try:
        destination = _destination(head)
        return _judge(head, destination, policy)
    except _Denied as denied:
        return denied.decision


def decide_tunnel(destination: Destination, policy: Policy) -> Decision:
    """Whether a tunnel may be begun at all. Names are judged request by request, where the client can read
    the refusal; an address in strict can never become anything, so its CONNECT fails.
    """
    if destination.ip and policy.strict:
        try:
            _check_strict(destination, policy, granted=False)
        except _Denied as denied:
            return denied.decision
    return Decision(True, destination)


def _destination(head: RequestHead) -> Destination:
    """The one place this request can be meant for; raises when what the client said does not agree."""
    if not _TOKEN.match(head.method) or head.method.upper() == "CONNECT":
        raise _deny(400, "malformed", "The request's method is not one that can be sent on.")
    if head.connect is None and head.target is None:
        raise _deny(
            400,
            "not-a-server",
            "This is Moat's proxy, not a web server.",
            "Use it as HTTP_PROXY and HTTPS_PROXY.",
        )
    if not _PATH.match(head.path):
        raise _deny(400, "malformed", "The request's path holds characters that no path has.")
    destination = head.connect
    if head.target is not None:
        scheme, authority = head.target
        if destination is None and scheme != "http":
            raise _deny(
                403,
                "not-tunnelled",
                f"An absolute {scheme[:12]!r} URL was sent to the proxy itself.",
                "Use CONNECT for everything but http://.",
            )
        target = _parsed(authority, 443 if scheme == "https" else 80)
        if destination is None:
            destination = target
        elif target != destination or scheme != ("https" if head.tls else "http"):
            raise _deny(
                403,
                "host-mismatch",
                f"The request line names another place than the tunnel, which leads to {destination}.",
                "Send the request to the host that it is for.",
                destination,
            )
    assert destination is not None
    if head.tls:
        _check_sni(head.sni, destination)
    _check_hosts(head, destination)
    return destination


def _check_sni(sni: str | None, destination: Destination) -> None:
    if sni is None:
        if destination.ip:
            return  # RFC 6066: an IP address is never sent as SNI
        raise _deny(
            403,
            "sni-missing",
            f"The TLS connection to {destination} did not say which host it is for (no SNI).",
            "Use a client that sends SNI.",
            destination,
        )
    try:
        name, _ = normalise_host(sni)
    except BadDestination:
        name = ""
    if name != destination.host:
        raise _deny(
            403,
            "sni-mismatch",
            f"The tunnel leads to {destination}, but TLS inside it was begun for another host.",
            "Send the request to the host that it is for.",
            destination,
        )


def _check_hosts(head: RequestHead, destination: Destination) -> None:
    if len(head.hosts) > 1:
        raise _deny(400, "malformed", "The request has more than one Host header.", "", destination)
    said = [head.authority] if head.authority is not None else []
    said += head.hosts
    if not said:
        raise _deny(400, "malformed", "The request does not say which host it is for.", "", destination)
    for text in said:
        named = _parsed(text, destination.port)  # a Host without a port claims none
        if named != destination:
            raise _deny(
                403,
                "host-mismatch",
                f"The request names another host than the connection, which leads to {destination}.",
                "Send the request to the host that it is for.",
                destination,
            )


def _parsed(authority: str, default_port: int) -> Destination:
    try:
        return parse_authority(authority, default_port)
    except BadDestination as error:
        raise _deny(400, "malformed", f"The request names {error}.") from error


def _judge(head: RequestHead, destination: Destination, policy: Policy) -> Decision:
    sent = _placeholders_sent(head.headers, policy)
    for placeholder in sent:
        owners = [grant for grant in policy.grants if placeholder in grant.placeholders]
        if not any(rule.pattern.matches_host(destination) for grant in owners for rule in grant.rules):
            raise _deny(
                403,
                "placeholder",
                f"The placeholder of grant {owners[0].name} was sent to {destination.host}, "
                "which that grant does not cover.",
                "A credential stand-in goes only to its own service: check the address that was configured.",
                destination,
                alarm=True,
            )
    if head.method.upper() == "TRACE":
        raise _deny(
            403,
            "trace",
            f"TRACE makes {destination.host} repeat the request, credential included.",
            "",
            destination,
        )
    candidates = [
        rule
        for grant in policy.grants
        for rule in sorted(grant.rules, key=lambda rule: rule.pattern.wildcard)
        if head.tls and head.connect is not None and rule.pattern.matches(destination)
    ]
    if policy.strict:
        _check_strict(destination, policy, granted=bool(candidates))
    return Decision(True, destination, _choose(candidates, head.headers, sent, policy))


def _check_strict(destination: Destination, policy: Policy, granted: bool) -> None:
    if destination.ip:
        raise _deny(
            403,
            "ip-literal",
            f"{destination} is an IP address; network policy `strict` allows names only.",
            "Use the host's name, and allow it.",
            destination,
        )
    if granted or any(pattern.matches(destination) for pattern in policy.allow):
        return
    raise _deny(
        403,
        "not-allowed",
        f"{destination} is not among the hosts that this run may reach (network policy `strict`).",
        f"Add it to network.allow in agent.yaml, or run with --allow-host {destination.host}.",
        destination,
    )


def _choose(
    candidates: list[GrantRule], headers: Headers, sent: set[str], policy: Policy
) -> GrantRule | None:
    """The grant whose placeholder was sent, then the one whose header was used, then the first named."""
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    owners = {grant.name for grant in policy.grants if sent.intersection(grant.placeholders)}
    present = {name.lower().decode("latin-1") for name, _ in headers}
    for preferred in (
        [rule for rule in candidates if rule.grant in owners and rule.header in present],
        [rule for rule in candidates if rule.grant in owners],
        [rule for rule in candidates if rule.header in present],
    ):
        if preferred:
            return preferred[0]
    return candidates[0]


def _placeholders_sent(headers: Headers, policy: Policy) -> set[str]:
    """Every placeholder of the run that stands, whole, in some header; Basic credentials are looked into."""
    known = {placeholder for grant in policy.grants for placeholder in grant.placeholders}
    if not known:
        return set()
    found: set[str] = set()
    for _, value in headers:
        texts = [value.decode("latin-1")]
        if basic := _BASIC.match(value):
            texts.append(decode_basic(basic.group(1)))
        found.update(p for p in known - found if any(holds_placeholder(text, p) for text in texts))
    return found


def holds_placeholder(text: str, placeholder: str) -> bool:
    """Whether `placeholder` stands in `text` as a whole word, not as a part of a longer placeholder."""
    start = text.find(placeholder)
    while start >= 0:
        before = text[start - 1] if start else " "
        after = text[start + len(placeholder) :][:1] or " "
        if not _wordy(before) and not _wordy(after):
            return True
        start = text.find(placeholder, start + 1)
    return False


def _wordy(char: str) -> bool:
    return char.isalnum() or char in "-_"


def decode_basic(encoded: bytes) -> str:
    """`user:password` of a Basic header's payload; empty when it is not base64."""
    try:
        padded = encoded.rstrip(b"=") + b"=" * (-len(encoded.rstrip(b"=")) % 4)
        return base64.b64decode(
            padded, altchars=b"-_" if b"-" in encoded or b"_" in encoded else None
        ).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
