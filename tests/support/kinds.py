"""Every kind of grant there is, each with a value of its own that may be seen nowhere.

Of the built-in table, npm's registries, and a person's own providers; `aws` and `ssh:HOST` have no header.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from engine.config import parse_grant
from engine.credentials import Credential
from engine.granting import save_grant
from engine.grants import Provider, builtin_providers, npm
from engine.home import Home
from engine.proxy import Injection
from engine.run.granted.injections import injection

OWN = """
mycorp:
  title: My Corp
  hosts:
    - {pattern: api.mycorp.test, header: X-Corp-Key, format: "Key {token}"}
    - {pattern: "*.mycorp.test", header: Authorization, format: "Basic {basic:robot}"}
  env: {MYCORP_TOKEN: corp-moat-proxy-injected}
  sources: [{env: MYCORP_TOKEN}]
"""
PROVIDERS: dict[str, Provider] = {
    **builtin_providers(),
    "npm": npm.NPM,
    **{
        name: msgspec.structs.replace(row, name=name)
        for name, row in msgspec.yaml.decode(OWN, type=dict[str, Provider]).items()
    },
}
REGISTRIES = ("registry.npmjs.org", "npm.corp.test")


def canary(name: str) -> str:
    """The value of the grant `name`; an npm registry's is that of `npm-HOST`."""
    return f"canary_{name.replace('.', '-')}_0123456789abcdefghijkl"


def stored(name: str) -> str:
    """As it is kept."""
    if name != "npm":
        return canary(name)
    return npm.encode([npm.Registry(host, canary(f"npm-{host}"), default=True) for host in REGISTRIES])


def values() -> list[str]:
    """All that must be seen nowhere."""
    return [canary(name) for name in PROVIDERS if name != "npm"] + [
        canary(f"npm-{host}") for host in REGISTRIES
    ]


def granted(wish: str) -> Injection:
    """What the proxy gets for a grant, spelled with its scope and limits."""
    narrowed = parse_grant(wish)
    name = narrowed.provider
    return injection(PROVIDERS[name], Credential(name, stored(name), ""), narrowed)


class Place(NamedTuple):
    """One host that one grant covers, the header it has there, and what is sent in it."""

    grant: str
    host: str
    header: str
    value: str


def places(*wishes: str) -> list[Place]:
    found = [
        Place(each.grant, rule.pattern.replace("*.", "any."), rule.header, value)
        for each in map(granted, wishes or PROVIDERS)
        for rule, value in zip(each.rules, each.values, strict=True)
    ]
    assert len({(place.host, place.header) for place in found}) == len(found)
    return found


def store_all(home: Home) -> None:
    home.write(home.providers / "own.yaml", OWN.encode())
    for name in PROVIDERS:
        save_grant(home, name, stored(name), source="stdin")
