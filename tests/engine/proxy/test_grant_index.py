"""The index of grants answers as looking at each grant would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.proxy.decision import GrantRule
from engine.proxy.destination import Destination, HostPattern
from engine.proxy.grant_index import Grant, GrantIndex

HOSTS = ("a.test", "b.a.test", "c.b.a.test", "xa.test", "test", "a.test.evil", "other.test")
PATTERNS = ("a.test", "*.a.test", "b.a.test", "*.b.a.test", "*.test", "other.test")
PORTS = ((443,), (443, 8443), (8443,))

patterns = st.tuples(st.sampled_from(PATTERNS), st.sampled_from(PORTS))
grants = st.lists(
    st.tuples(st.lists(patterns, min_size=1, max_size=3), st.sets(st.sampled_from(("p", "q")))), max_size=6
)


def made(drawn: list) -> list[Grant]:
    return [
        Grant(
            f"grant{number}",
            tuple(
                GrantRule(f"grant{number}", index, HostPattern.parse(text, ports), "authorization")
                for index, (text, ports) in enumerate(rules)
            ),
            tuple(sorted(placeholders)),
        )
        for number, (rules, placeholders) in enumerate(drawn)
    ]


@given(grants, st.sampled_from(HOSTS), st.sampled_from((443, 8443, 80)))
def test_it_finds_the_same_rules_in_the_same_order(drawn: list, host: str, port: int) -> None:
    known, place = made(drawn), Destination(host, port)
    index = GrantIndex(known)
    every = [rule for grant in known for rule in sorted(grant.rules, key=lambda rule: rule.pattern.wildcard)]
    assert index.covering(place) == [rule for rule in every if rule.pattern.matches(place)]
    assert index.covers_host(place) == any(rule.pattern.matches_host(place) for rule in every)
    for placeholder in ("p", "q", "r"):
        assert index.owners(placeholder) == [each for each in known if placeholder in each.placeholders]


def test_an_address_is_covered_by_nothing() -> None:
    index = GrantIndex(made([([("*.test", (443,))], set())]))
    assert index.covering(Destination("10.0.0.1", 443, ip=True)) == []
