"""The key `grants` of agent.yaml: names, scopes, and grants with limits.

grants:
  - github:ro
  - {name: anthropic, methods: [POST], paths: [/v1/messages], max_requests: 100, expires_in: 1h}
"""

from __future__ import annotations

from engine.config.grant_limits import GrantWish, Limits, parse_grant
from engine.config.values import Value, shown
from engine.config.yaml_tree import Mapping
from engine.errors import UsageError


def read_grants(value: Value) -> tuple[str, ...]:
    """In the spelling of engine.config.grant_limits, each provider once. Raises ConfigError."""
    found: dict[str, str] = {}
    for item in value.items("provider names"):
        try:
            wish = _limited(item) if isinstance(item.node, Mapping) else parse_grant(_name(item))
        except UsageError as error:
            raise item.explained(error) from None
        if wish.provider in found:
            raise item.refused(f"expected each grant once, found {shown(wish.provider)} again")
        found[wish.provider] = str(wish)
    return tuple(found.values())


def _limited(item: Value) -> GrantWish:
    keys = item.section(("name", *Limits.__struct_fields__))
    if "name" not in keys:
        raise item.refused(
            "expected a name, found none", remedy="Write it as {name: github, methods: [GET]}."
        )
    wish = parse_grant(_name(keys["name"]))
    if ";" in _name(keys["name"]):
        raise keys["name"].refused("expected limits as keys of their own beside the name")
    limits = Limits(
        methods=_texts(keys.get("methods"), "methods"),
        paths=_texts(keys.get("paths"), "paths"),
        max_requests=keys["max_requests"].whole(1, 10**9 - 1, "requests") if "max_requests" in keys else 0,
        expires_in=keys["expires_in"].text("a time such as 1h") if "expires_in" in keys else "",
    )
    limits.check()
    if limits != Limits() and wish.provider.startswith("ssh:"):
        raise item.refused("an SSH grant has no limits", remedy=f"Write {wish.provider} alone.")
    return GrantWish(wish.provider, wish.scope, limits)


def _name(item: Value) -> str:
    return item.text("a provider name such as github")


def _texts(value: Value | None, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = tuple(dict.fromkeys(item.text(f"text in {what}") for item in value.items(what)))
    if not texts:
        raise value.wrong(f"a list of {what}")
    return texts
