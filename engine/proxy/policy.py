"""May this request go, where to, and with whose credential? Pure: a head and a policy in, a decision out.

A credential is chosen only when CONNECT host = SNI = Host/:authority = a host of the grant, on a granted
port, inside TLS. Everything the client says more than once must agree; what it says once is believed
only as far as the certificate check of the upstream bears it out. Whatever is not clearly allowed is not.
"""

from __future__ import annotations

import msgspec

from engine.config.policies import ASK, is_isolated
from engine.errors import UsageError
from engine.proxy.decision import Decision, Denied, GrantRule, Headers, RequestHead, deny
from engine.proxy.destination import BadDestination, Destination, HostPattern
from engine.proxy.grant_index import Grant, GrantIndex
from engine.proxy.identity import destination_of
from engine.proxy.placeholders import placeholders_sent
from engine.proxy.rules import Ambiguous, Rules, Ruling
from engine.proxy.spec import ProxySpec
from engine.proxy.ssh import SSH, SSH_PORT


class Policy(msgspec.Struct, frozen=True):
    """The part of a ProxySpec that decides. Holds no credential.

    private: what a person opened on the host; in strict it is allowed, an address too.
    passthrough: hosts whose TLS is not intercepted (engine/proxy/opaque.py).
    ssh: the SSH servers of grants; what is not SSH does not pass to them (engine/proxy/ssh.py).
    """

    mode: str
    allow: tuple[HostPattern, ...] = ()
    grants: GrantIndex = GrantIndex()
    rules: Rules = Rules()
    private: frozenset[Destination] = frozenset()
    passthrough: tuple[HostPattern, ...] = ()
    ssh: frozenset[Destination] = frozenset()

    @classmethod
    def of(cls, spec: ProxySpec) -> Policy:
        """Raises UsageError for an allow entry or a grant's host that is not a host pattern.

        An allow entry without a port stands for 443 and 80.
        """
        allow = [_pattern(entry, (443, 80), "a host to allow") for entry in spec.allow]
        passthrough = [_pattern(entry, (443,), "a host to pass through") for entry in spec.passthrough]
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
        judged = Rules(spec.own_rules, spec.rules)
        opened, servers = frozenset(spec.private), frozenset(spec.ssh)
        indexed = GrantIndex(grants)
        return cls(spec.mode, tuple(allow), indexed, judged, opened, tuple(passthrough), servers)

    @property
    def isolated(self) -> bool:
        return is_isolated(self.mode)


def _pattern(entry: str, ports: tuple[int, ...], meant: str) -> HostPattern:
    try:
        return HostPattern.parse(entry, ports)
    except BadDestination as error:
        raise UsageError(
            f"not {meant}: {entry!r}",
            detail=str(error),
            remedy="Write HOST, HOST:PORT or *.SUFFIX. For a private address use --allow-private.",
        ) from error


def decide(head: RequestHead, policy: Policy) -> Decision:
    """Never raises; see the module's text for the rules and DESIGN.md, "Rules that are never bent"."""
    try:
        destination = destination_of(head)
        return _judge(head, destination, policy)
    except Denied as denied:
        return denied.decision


def decide_tunnel(destination: Destination, policy: Policy) -> Decision:
    """Whether a tunnel may be begun at all. Names are judged request by request, where the client can read
    the refusal; an address in an isolated run can never become anything, so its CONNECT fails. Nor can SSH
    become readable: it is allowed to the servers of grants, and elsewhere its usual port has to be named.
    """
    if destination in policy.ssh:
        return _judge_ssh(destination, policy)
    if destination.ip and policy.isolated and destination not in policy.private:
        return _no_address(destination, policy).decision
    if destination.port == SSH_PORT and policy.isolated and not _may_be_named(destination, policy):
        return deny(
            403,
            "no-ssh-grant",
            f"{destination} is no SSH server of this run's grants (network policy `{policy.mode}`).",
            f"Grant it on the host: moat grant ssh --host {destination.host}, "
            f"and run with -g ssh:{destination.host}.",
            destination,
        ).decision
    return Decision(True, destination)


def _may_be_named(destination: Destination, policy: Policy) -> bool:
    return _is_named(destination, policy) or policy.rules.speak_of(destination)


def _judge_ssh(destination: Destination, policy: Policy) -> Decision:
    """The grant names the server; an entry of network.rules that shuts it altogether still counts."""
    ruling = policy.rules.shuts(destination)
    if ruling is not None:
        return _rule_denied(ruling, destination).decision
    return Decision(True, destination, rule=SSH)


def _judge(head: RequestHead, destination: Destination, policy: Policy) -> Decision:
    sent, in_url = placeholders_sent(head.headers, head.path, policy.grants.placeholders)
    for placeholder in sent | in_url:
        owners = policy.grants.owners(placeholder)
        if not any(rule.pattern.matches_host(destination) for grant in owners for rule in grant.rules):
            raise deny(
                403,
                "placeholder",
                f"The placeholder of grant {owners[0].name} was sent to {destination.host}, "
                "which that grant does not cover.",
                "A credential stand-in goes only to its own service: check the address that was configured.",
                destination,
                alarm=True,
            )
    if head.method.upper() == "TRACE":
        raise deny(
            403,
            "trace",
            f"TRACE makes {destination.host} repeat the request, credential included.",
            "",
            destination,
        )
    encrypted = head.tls and head.connect is not None
    candidates = policy.grants.covering(destination) if encrypted else []
    ruling = _ruling(head, destination, policy)
    if ruling is None and policy.isolated:
        _check_named(destination, policy, granted=bool(candidates))
    return Decision(
        True,
        destination,
        _choose(candidates, head.headers, sent, policy),
        rule="" if ruling is None else str(ruling),
    )


def _ruling(head: RequestHead, destination: Destination, policy: Policy) -> Ruling | None:
    """What network.rules allow by; raises when they deny it or cannot tell."""
    try:
        ruling = policy.rules.judge(destination, head.method, head.path, head.headers)
    except Ambiguous as error:
        raise deny(
            400,
            "ambiguous",
            f"{error} The rules for {destination.host} cannot judge it.",
            "Send the plain form of the URL: no `..`, `//`, backslashes or needless escapes.",
            destination,
        ) from None
    if ruling is not None and not ruling.allow:
        raise _rule_denied(ruling, destination)
    return ruling


def _rule_denied(ruling: Ruling, destination: Destination) -> Denied:
    return deny(
        403,
        "rule-denied",
        f"A rule of this run's network policy denies it: {ruling}.",
        "If the request is meant, a person can change that rule.",
        destination,
    )


def _no_address(destination: Destination, policy: Policy) -> Denied:
    return deny(
        403,
        "ip-literal",
        f"{destination} is an IP address; network policy `{policy.mode}` allows names only.",
        "Use the host's name, and allow it.",
        destination,
    )


def _is_named(destination: Destination, policy: Policy) -> bool:
    return destination in policy.private or any(pattern.matches(destination) for pattern in policy.allow)


def _check_named(destination: Destination, policy: Policy, granted: bool) -> None:
    """What no rule speaks of must be granted, opened or in network.allow; or a person is asked."""
    if destination.ip and destination not in policy.private:
        raise _no_address(destination, policy)
    if granted or _is_named(destination, policy):
        return
    raise deny(
        403,
        "not-allowed",
        f"{destination} is not among the hosts that this run may reach (network policy `{policy.mode}`).",
        f"Add it to network.allow in agent.yaml, or run with --allow-host {destination.host}.",
        destination,
        ask=policy.mode == ASK,
    )


def _choose(
    candidates: list[GrantRule], headers: Headers, sent: set[str], policy: Policy
) -> GrantRule | None:
    """The grant whose placeholder was sent, then the one whose header was used, then the first named."""
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    owners = {grant.name for placeholder in sent for grant in policy.grants.owners(placeholder)}
    present = {name.lower().decode("latin-1") for name, _ in headers}
    for preferred in (
        [rule for rule in candidates if rule.grant in owners and rule.header in present],
        [rule for rule in candidates if rule.grant in owners],
        [rule for rule in candidates if rule.header in present],
    ):
        if preferred:
            return preferred[0]
    return candidates[0]
