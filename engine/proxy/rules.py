"""What `network.rules` say about one request: allowed, denied, or nothing. Pure.

Entries are tried in order, the person's own before the workspace's; the first rule that matches decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from engine.config.rules import HostRules, RequestRule
from engine.proxy.decision import Headers
from engine.proxy.destination import Destination
from engine.proxy.paths import AmbiguousPath, PathPattern, Reading, readings

OWN = "config.yaml"
WORKSPACE = "agent.yaml"

_USUAL_PORTS = (443, 80)
_ANY = RequestRule(allow=True)
# Servers behind frameworks take the method from here; what they would do is judged too.
_OVERRIDES = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})


class Ambiguous(Exception):
    """The request could be read in several ways that the rules judge differently. Quotes nothing of it."""


class Ruling:
    """One rule with the entry it stands in. `str()` names it for people and logs."""

    def __init__(self, entry: HostRules, rule: RequestRule, source: str) -> None:
        self.allow = rule.allow
        self._methods = frozenset(rule.methods)
        self._everything = rule.path == "/**"
        self._path = PathPattern(rule.path)
        self._text = f"{rule} for {entry.host} ({source})" if entry.rules else f"{entry.host} ({source})"

    @property
    def anything(self) -> bool:
        """Whether it holds for every request, so that neither method nor path need be looked at."""
        return self._everything and not self._methods

    def holds(self, method: str, reading: Reading) -> bool:
        return (not self._methods or method in self._methods) and self._path.matches(reading)

    def __str__(self) -> str:
        return self._text


class Rules:
    """own: of the person, on the host; they come first, so nothing in a workspace can override them."""

    def __init__(self, own: Iterable[HostRules] = (), workspace: Iterable[HostRules] = ()) -> None:
        self._entries = [
            (_Host(entry.host), [Ruling(entry, rule, source) for rule in entry.rules or (_ANY,)])
            for entries, source in ((own, OWN), (workspace, WORKSPACE))
            for entry in entries
        ]

    def judge(self, destination: Destination, method: str, path: str, headers: Headers) -> Ruling | None:
        """The ruling that decides, None when no rule speaks of this request. Raises Ambiguous.

        An address has no rules: they are about names.
        """
        rulings = self._speaking_of(destination)
        if not rulings:
            return None
        if rulings[0].anything:
            return rulings[0]
        if method != method.upper():
            raise Ambiguous("Its method is not in capitals; rules and servers could read it differently.")
        try:
            seen = readings(path)
        except AmbiguousPath as error:
            raise Ambiguous(f"Its path holds {error}, which servers read differently.") from None
        methods = [method, *overrides(headers)]
        found = [_first(rulings, each, reading) for each in methods for reading in seen]
        if len({None if ruling is None else ruling.allow for ruling in found}) > 1:
            raise Ambiguous("Its path or method can be read in several ways, and the rules differ on them.")
        return found[0]

    def all_alike(self, destination: Destination) -> bool:
        """Whether every request to it is judged the same, so that none needs to be seen."""
        rulings = self._speaking_of(destination)
        return not rulings or rulings[0].anything

    def speak_of(self, destination: Destination) -> bool:
        return bool(self._speaking_of(destination))

    def shuts(self, destination: Destination) -> Ruling | None:
        """The ruling that denies all of a host whatever is said to it, SSH included. An entry that lets some
        requests pass is about requests; one that allows this very port comes before a later one that denies.
        """
        for host, rulings in self._entries:
            if not host.names(destination):
                continue
            if any(ruling.allow for ruling in rulings):
                if host.covers(destination, deny=False):
                    return None
            elif host.covers(destination, deny=True):
                shut = next((ruling for ruling in rulings if ruling.anything), None)
                if shut is not None:
                    return shut
        return None

    def _speaking_of(self, destination: Destination) -> list[Ruling]:
        return [
            ruling
            for host, candidates in self._entries
            if host.names(destination)
            for ruling in candidates
            if host.covers(destination, deny=not ruling.allow)
        ]


def _first(rulings: list[Ruling], method: str, reading: Reading) -> Ruling | None:
    return next((ruling for ruling in rulings if ruling.holds(method, reading)), None)


def overrides(headers: Headers) -> list[str]:
    """The methods that a server might act on instead."""
    return [value.decode("latin-1").strip().upper() for name, value in headers if name.lower() in _OVERRIDES]


class _Host:
    """A pattern of `engine.config.rules`. Without a port, allowing means 443 and 80, denying any port."""

    def __init__(self, pattern: str) -> None:
        host, _, port = pattern.partition(":")
        self._port = int(port) if port else 0
        labels = host.removeprefix("*.").split(".")
        front = r"(?:[^.]+\.)+" if host.startswith("*.") else ""
        body = r"\.".join("[^.]+" if label == "*" else re.escape(label) for label in labels)
        self._matches = re.compile(front + body).fullmatch

    def names(self, destination: Destination) -> bool:
        return not destination.ip and self._matches(destination.host) is not None

    def covers(self, destination: Destination, *, deny: bool) -> bool:
        if self._port:
            return destination.port == self._port
        return deny or destination.port in _USUAL_PORTS
