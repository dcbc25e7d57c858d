"""A run's grants found by host and by placeholder, so that a request costs as much with twenty as with one.

What is found is judged by the pattern itself; the index only says where to look. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from engine.proxy.decision import GrantRule
from engine.proxy.destination import Destination


class Grant(msgspec.Struct, frozen=True):
    name: str
    rules: tuple[GrantRule, ...]
    placeholders: tuple[str, ...]


class GrantIndex:
    """placeholders: those of all grants."""

    def __init__(self, grants: Iterable[Grant] = ()) -> None:
        self._by_host: dict[str, list[tuple[int, GrantRule]]] = {}
        self._by_placeholder: dict[str, list[Grant]] = {}
        place = 0
        for grant in grants:
            for rule in sorted(grant.rules, key=lambda rule: rule.pattern.wildcard):
                self._by_host.setdefault(rule.pattern.suffix, []).append((place, rule))
                place += 1
            for placeholder in grant.placeholders:
                self._by_placeholder.setdefault(placeholder, []).append(grant)
        self.placeholders = frozenset(self._by_placeholder)

    def covering(self, destination: Destination) -> list[GrantRule]:
        """The rules for this host and port, in the order of the grants, a whole name before a wildcard."""
        return [rule for rule in self._named(destination.host) if rule.pattern.matches(destination)]

    def covers_host(self, destination: Destination) -> bool:
        """Whether any rule is for this host, on whatever port."""
        return any(rule.pattern.matches_host(destination) for rule in self._named(destination.host))

    def owners(self, placeholder: str) -> list[Grant]:
        return self._by_placeholder.get(placeholder, [])

    def _named(self, host: str) -> Iterator[GrantRule]:
        found = list(self._by_host.get(host, ()))
        dot = host.find(".")
        while dot >= 0:
            found += self._by_host.get(host[dot:], ())
            dot = host.find(".", dot + 1)
        return (rule for _, rule in sorted(found, key=lambda each: each[0]))
