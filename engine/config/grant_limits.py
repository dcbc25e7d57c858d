"""What a grant is narrowed to: a named scope of its provider, methods, paths, a number, a time.

One spelling for agent.yaml, the command line, metadata and approvals, without commas and spaces:

    github:ro
    github;methods=GET|HEAD;paths=/repos/me/**;max_requests=100;expires_in=1h
"""

from __future__ import annotations

import re

import msgspec

from engine.config.rules import path_problem
from engine.config.values import shown
from engine.errors import UsageError

_PROVIDER = re.compile(r"[a-z0-9][a-z0-9-]*")
_SCOPE = re.compile(r"[a-z][a-z0-9-]{0,30}")
_METHOD = re.compile(r"[A-Z][A-Z0-9-]{0,30}")
_COUNT = re.compile(r"[1-9][0-9]{0,8}")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST = 50  # methods or paths of one limit
# Names whose colon is not a scope's: ssh:HOST.
_WHOLE = ("ssh:",)


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """methods, paths: empty means any. max_requests: of one run, 0 means any number. expires_in: from the
    run's start, such as 90s, 30m, 1h or 2d; "" means never.
    """

    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    max_requests: int = 0
    expires_in: str = ""

    @property
    def seconds(self) -> int:
        """expires_in in seconds, 0 for never."""
        match = _DURATION.fullmatch(self.expires_in)
        return int(match[1]) * _SECONDS[match[2]] if match else 0

    def check(self) -> None:
        """Raises UsageError for what could never hold, or would hold for more than was meant."""
        if len(self.methods) > _MOST or len(self.paths) > _MOST:
            raise UsageError(f"expected at most {_MOST} methods and paths")
        for method in self.methods:
            if not _METHOD.fullmatch(method):
                raise UsageError(f"methods: expected a method in capitals such as GET, found {shown(method)}")
        for path in self.paths:
            if problem := path_problem(path):
                raise UsageError(f"paths: {problem}, found {shown(path)}", remedy="Write it as /repos/me/**.")
        if not 0 <= self.max_requests < 10**9:
            raise UsageError("max_requests: expected a whole number from 1 to 999999999")
        if self.expires_in and not _DURATION.fullmatch(self.expires_in):
            raise UsageError(
                f"expires_in: expected a time such as 90s, 30m, 1h or 2d, found {shown(self.expires_in)}"
            )

    def within(self, other: Limits) -> bool:
        """Whether these let through nothing that `other` does not. Paths are compared as written."""
        return (
            _narrower(self.methods, other.methods)
            and _narrower(self.paths, other.paths)
            and _lower(self.max_requests, other.max_requests)
            and _lower(self.seconds, other.seconds)
        )


class ScopeRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests that a named scope lets through. host: one pattern of the provider's hosts. query: the whole
    query that they must have, "" for any.
    """

    host: str
    methods: tuple[str, ...]
    paths: tuple[str, ...] = ("/**",)
    query: str = ""


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """allow: one of the rules must hold. about: one sentence for whom it stops."""

    allow: tuple[ScopeRule, ...]
    about: str = ""


class GrantWish(msgspec.Struct, frozen=True):
    """One grant as it is asked for. provider: a name such as github or ssh:HOST; scope: "" is all of it."""

    provider: str
    scope: str = ""
    limits: Limits = Limits()

    @property
    def name(self) -> str:
        return f"{self.provider}:{self.scope}" if self.scope else self.provider

    def __str__(self) -> str:
        limits = self.limits
        parts = [self.name]
        if limits.methods:
            parts.append("methods=" + "|".join(limits.methods))
        if limits.paths:
            parts.append("paths=" + "|".join(path.replace(",", "%2C") for path in limits.paths))
        if limits.max_requests:
            parts.append(f"max_requests={limits.max_requests}")
        if limits.expires_in:
            parts.append(f"expires_in={limits.expires_in}")
        return ";".join(parts)

    def within(self, other: GrantWish) -> bool:
        """Whether it asks for nothing that `other` does not give."""
        return (
            self.provider == other.provider
            and other.scope in ("", self.scope)
            and self.limits.within(other.limits)
        )


def parse_grant(text: str) -> GrantWish:
    """Raises UsageError. Whether there is such a provider and scope is not known here."""
    name, *parts = text.strip().split(";")
    provider, colon, scope = name.partition(":")
    if name.startswith(_WHOLE):
        if parts:
            raise UsageError(f"an SSH grant has no limits: {shown(text)}", remedy=f"Write {name} alone.")
        return GrantWish(name)
    if not _PROVIDER.fullmatch(provider) or (colon and not _SCOPE.fullmatch(scope)):
        raise UsageError(
            f"expected a provider name such as github or github:ro, found {shown(text)}",
            remedy="See what can be granted: moat grant providers",
        )
    said: dict[str, str] = {}
    for part in parts:
        key, _, value = part.partition("=")
        if key not in Limits.__struct_fields__ or key in said or not value:
            raise UsageError(
                f"expected limits such as ;methods=GET;max_requests=100, found {shown(part)}",
                remedy=f"Limits are {', '.join(Limits.__struct_fields__)}; lists have | between.",
            )
        said[key] = value
    count = said.get("max_requests", "")
    if count and not _COUNT.fullmatch(count):
        raise UsageError(f"max_requests: expected a whole number from 1 to 999999999, found {shown(count)}")
    limits = Limits(
        methods=_listed(said.get("methods", "")),
        paths=_listed(said.get("paths", "")),
        max_requests=int(count or 0),
        expires_in=said.get("expires_in", ""),
    )
    limits.check()
    return GrantWish(provider, scope, limits)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.split("|"))) if text else ()


def _narrower(these: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return not others or (bool(these) and set(these) <= set(others))


def _lower(this: int, other: int) -> bool:
    return not other or 0 < this <= other
