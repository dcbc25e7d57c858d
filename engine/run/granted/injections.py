"""From the names of grants to what the proxy needs: hosts, headers, placeholders and the values.

This is where a credential leaves the encrypted store for the supervisor's memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from engine.aws import AwsRole
from engine.config import GrantWish, Limits, parse_grant
from engine.credentials import Credential, CredentialStore
from engine.errors import CredentialMissing, GrantError
from engine.grants import Provider, Providers, npm, render_header
from engine.proxy import HostRule, Injection
from engine.run.environment import CA_BUNDLE
from engine.run.granted.decoys import Planted
from engine.run.granted.refresh import Router, refresh_if_due, straight
from engine.run.granted.renewal import Opened, Renewal
from engine.run.granted.ssh_delivery import SshAccess
from engine.runtimes import PlacedFile
from engine.secrets import Resolved


class Granted:
    """The grants and secrets of one run, opened. Holds credential values: never logged, never encoded."""

    def __init__(
        self,
        providers: tuple[Provider, ...],
        injections: tuple[Injection, ...],
        expired: tuple[str, ...] = (),
        secrets: Resolved | None = None,
        renewal: Renewal | None = None,
        files: tuple[PlacedFile, ...] = (),
        troubles: tuple[str, ...] = (),
    ) -> None:
        self.injections = injections
        self.expired = expired
        self.secrets = secrets or Resolved({}, {})
        self.renewal = renewal
        self.files = files
        self.troubles = troubles
        self.ssh: SshAccess | None = None
        self.aws: AwsRole | None = None
        self.decoys = Planted()
        self.services: dict[str, str] = {}  # service -> the password of its server
        self.placeholders: dict[str, str] = {}
        for item in providers:
            for variable, placeholder in item.env.items():
                self.placeholders.setdefault(variable, placeholder)

    @property
    def hidden(self) -> tuple[str, ...]:
        """Every value that must never be written down."""
        credentials = [value for injection in self.injections for value in injection.secrets]
        return (*credentials, *self.secrets.masked, *self.decoys.hidden, *self.services.values())

    def __repr__(self) -> str:
        return f"Granted({', '.join(injection.grant for injection in self.injections)})"


def open_grants(
    store: CredentialStore, names: Iterable[str], known: Providers, router: Router = straight
) -> Granted:
    """Load each grant of `names`, spelled as engine.config.grant_limits does; what is about to expire and can
    be refreshed is so first. Blocking.

    Raises UsageError, what `known` raises, CredentialMissing, or what the store raises.
    """
    providers: list[Provider] = []
    injections: list[Injection] = []
    stale: list[str] = []
    troubles: list[str] = []
    opened: list[Opened] = []
    for name in names:
        wish = parse_grant(name)
        item = known.get(wish.provider)
        _check_scope(item, wish)
        if not store.exists(item.name):
            raise CredentialMissing(
                f"there is no credential for the grant {item.name!r}" + _in_profile(store.profile),
                remedy=f"Store one first: moat grant {item.name}" + _profile_flag(store.profile),
            )
        if trouble := refresh_if_due(store, item, router):
            troubles.append(trouble)
        stamp = store.stamp(item.name)
        credential = store.get(item.name)
        opened.append(Opened(item, wish, stamp, credential))
        providers.append(item)
        injections.append(injection(item, credential, wish))
        if expired(credential):
            stale.append(item.name)
    files = [
        PlacedFile(npm.CONFIG, npm.config_file(npm.decode(each.credential.token), CA_BUNDLE))
        for each in opened
        if each.item.name == npm.NAME
    ]
    return Granted(
        tuple(providers),
        tuple(injections),
        tuple(stale),
        renewal=Renewal(store, opened, injection, router),
        files=tuple(files),
        troubles=tuple(troubles),
    )


def _check_scope(item: Provider, wish: GrantWish) -> None:
    if wish.scope and wish.scope not in item.scopes:
        has = f"It has: {', '.join(item.scopes)}." if item.scopes else "It has no scopes."
        raise GrantError(f"the provider {item.name} has no scope {wish.scope!r}", remedy=has)


def injection(item: Provider, credential: Credential, wish: GrantWish | None = None) -> Injection:
    """wish: what the run's grant is narrowed to; None is all that the provider gives."""
    wish = wish or GrantWish(item.name)
    hosts, tokens = item.hosts, (credential.token,) * len(item.hosts)
    placeholders = tuple(dict.fromkeys(item.env.values()))
    if item.name == npm.NAME:
        registries = npm.decode(credential.token)
        hosts, tokens = npm.host_rules(registries), tuple(registry.token for registry in registries)
        placeholders = (npm.PLACEHOLDER,)
    return Injection(
        grant=item.name,
        rules=tuple(HostRule(pattern=r.pattern, ports=r.ports, header=r.header) for r in hosts),
        values=tuple(render_header(rule, token) for rule, token in zip(hosts, tokens, strict=True)),
        placeholders=placeholders,
        secrets=tuple(dict.fromkeys(tokens)),
        scope_name=wish.scope,
        scope=item.scopes[wish.scope] if wish.scope else None,
        limits=tuple(limits for limits in (item.limits, wish.limits) if limits != Limits()),
    )


def expired(credential: Credential, now: datetime | None = None) -> bool:
    if not credential.expires_at:
        return False
    return datetime.fromisoformat(credential.expires_at) <= (now or datetime.now(UTC))


def _in_profile(profile: str) -> str:
    return f" in the profile {profile!r}" if profile else ""


def _profile_flag(profile: str) -> str:
    return f" --profile {profile}" if profile else ""
