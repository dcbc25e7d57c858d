"""Grants as a person manages them: the provider table joined with the encrypted store.

A viewer gets `GrantInfo`, which holds no value. A value passes through here only on its way from where
it was found to the service that checks it and to the store.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from engine.aws import AWS, check_aws_role, metadata_of, role_of
from engine.errors import ConfigError, CredentialError, GrantError, HomeError, UsageError
from engine.events import GrantInfo, GrantState, GrantUse, ProviderInfo, timestamp
from engine.home import Home

if TYPE_CHECKING:
    from engine.aws import AwsRole
    from engine.credentials import Credential, CredentialStore
    from engine.grants import FoundToken, Provider, Providers
    from engine.ssh_agent import Mapping, SshKey, SshOffer

_EXPIRING = timedelta(days=7)


def list_providers(home: Home) -> list[ProviderInfo]:
    """What can be granted, by name: built in, and the person's own."""
    from engine.grants import load_providers

    aws = ProviderInfo(AWS, "AWS role", ("*.amazonaws.com",), "")
    table = [aws, *(_provider_info(item) for item in load_providers(home).rows.values())]
    return sorted(table, key=lambda item: item.name)


def provider_problems(home: Home) -> tuple[ConfigError, ...]:
    """Why files of the person's own providers are left out, one error each, with file and line."""
    from engine.grants import load_providers

    return load_providers(home).bad


def list_grants(home: Home, profile: str | None = "") -> list[GrantInfo]:
    """What is stored in one profile, or in all for None. A file that cannot be read is listed as such."""
    from engine.credentials import CredentialStore, profiles
    from engine.grants import load_providers

    uses, known = _last_uses(home), load_providers(home)
    found: list[GrantInfo] = []
    for name in [profile] if profile is not None else ["", *profiles(home)]:
        store = CredentialStore(home, name)
        found += [_grant_info(store, provider, uses, known) for provider in store.stored()]
        found += _ssh_grants(home, store.profile, uses)
    return found


def find_token(home: Home, provider: str, *, files: bool = True) -> FoundToken | None:
    """Look where the provider's values usually are (environment, the service's own tool, and with `files`
    what that keeps on disk). Blocking.
    """
    from engine import grants

    if provider == AWS:
        return None
    return grants.find_token(grants.load_providers(home).get(provider), os.environ, files=files)


async def validate_token(home: Home, provider: str, token: str) -> str:
    """Ask the service whether it takes `token`; returns whose it is, "" when it cannot say.

    Raises GrantError when the service refuses or cannot be reached. For `aws` it is the ARN of a role.
    """
    from engine import grants

    if provider == AWS:
        await validate_aws_role(check_aws_role(token))
        return ""
    return await grants.validate(grants.load_providers(home).get(provider), token)


def save_grant(
    home: Home, provider: str, token: str, *, source: str, account: str = "", profile: str = ""
) -> GrantInfo:
    """Encrypt and store `token`, replacing an older one whole. Raises GrantError for an unusable value."""
    from engine.credentials import Credential, CredentialStore
    from engine.grants import check_token, load_providers, npm

    store = CredentialStore(home, profile)
    if provider == AWS:  # only another role: the narrowing of the old one stays
        kept = store.get(AWS).metadata if store.exists(AWS) else {}
        return save_aws_grant(home, role_of(token, kept), profile)
    known = load_providers(home)
    item = known.get(provider)
    if item.name == npm.NAME:
        token = npm.stored_form(token.strip(), os.environ)
    metadata = {key: value for key, value in (("source", source), ("account", account)) if value}
    credential = Credential(
        provider=item.name, token=check_token(token), created_at=timestamp(), metadata=metadata
    )
    store.put(_with_what_belongs_to_it(item, credential, source))
    return _grant_info(store, item.name, _last_uses(home), known)


def _with_what_belongs_to_it(item: Provider, credential: Credential, source: str) -> Credential:
    """A value from a file that says more of it: when it expires, and how it is refreshed."""
    from engine.grants import find_token
    from engine.run.granted.refresh import with_refresh

    sources = tuple(each for each in item.sources if (each.refresh or each.expires) and str(each) == source)
    found = find_token(msgspec.structs.replace(item, sources=sources), os.environ) if sources else None
    return with_refresh(credential, found) if found and found.value == credential.token else credential


async def ssh_keys() -> tuple[SshKey, ...]:
    """What the person's SSH agent holds. Raises GrantError when there is none, or nothing in it."""
    from engine import ssh_agent

    return await ssh_agent.agent_keys(ssh_agent.agent_socket())


async def find_ssh(home: Home, host: str) -> SshOffer:
    """What can be chosen from to grant `HOST` or `HOST:PORT`: the agent's keys, and the host's own.

    Raises GrantError when the agent holds nothing, or when the host is not known and does not answer.
    """
    from engine import ssh_agent

    return await ssh_agent.find_offer(host)


def save_ssh_grant(home: Home, offer: SshOffer, key: str, profile: str = "") -> GrantInfo:
    """Grant the host of `offer` with the key that has this fingerprint; an older grant of it is replaced.

    The host's keys in `offer` become the only ones it is known by, so where they were not pinned a person
    has said yes to them. Raises GrantError for a key that is not among those offered.
    """
    from engine.credentials import CredentialStore
    from engine.ssh_agent import Mapping, SshMappings

    if key not in {item.fingerprint for item in offer.keys}:
        raise GrantError(
            f"the SSH agent holds no key with the fingerprint {key[:80]!r}", remedy="See them: ssh-add -l"
        )
    name = CredentialStore(home, profile).profile
    mapping = Mapping(offer.host, key, timestamp(), port=offer.port, host_keys=offer.blobs)
    SshMappings(home, name).put(mapping)
    return next(item for item in _ssh_grants(home, name, _last_uses(home)) if item.hosts == (offer.host,))


async def validate_aws_role(role: AwsRole) -> None:
    """Assume the role once, with this machine's AWS credentials. Raises GrantError when that fails."""
    from engine import aws
    from engine.daemon_thread import in_daemon_thread

    await in_daemon_thread(lambda: aws.assume_role(role, "moat-grant"))


def save_aws_grant(home: Home, role: AwsRole, profile: str = "") -> GrantInfo:
    """Encrypt and store which role runs may have, replacing an older one whole."""
    from engine.credentials import Credential, CredentialStore
    from engine.grants import load_providers

    store = CredentialStore(home, profile)
    store.put(Credential(provider=AWS, token=role.arn, created_at=timestamp(), metadata=metadata_of(role)))
    return _grant_info(store, AWS, _last_uses(home), load_providers(home))


def revoke_grant(home: Home, provider: str, profile: str = "") -> bool:
    """Delete the stored value; False when there was none. Running agents keep theirs until they end."""
    from engine.credentials import CredentialStore
    from engine.ssh_agent import PREFIX, SshMappings

    store = CredentialStore(home, profile)
    if provider.startswith(PREFIX):
        return SshMappings(home, store.profile).delete(provider.removeprefix(PREFIX))
    return store.delete(provider)


def _provider_info(item: Provider) -> ProviderInfo:
    return ProviderInfo(
        name=item.name,
        title=item.title,
        hosts=tuple(rule.pattern for rule in item.hosts),
        header=item.hosts[0].header if item.hosts else "",
        sources=item.source_names(),
        env=dict(item.env),
        setup=item.setup,
        scopes=tuple(item.scopes),
        origin=item.origin,
    )


def _grant_info(
    store: CredentialStore, name: str, uses: dict[tuple[str, str], _Use], known: Providers
) -> GrantInfo:
    from engine.grants import npm

    used = uses.get((store.profile, name), _Use())
    info = GrantInfo(provider=name, profile=store.profile, last_used_at=used.at, last_used_run=used.run)
    try:
        if name == AWS:
            return _role_info(info, store.get(name))
        item = _provider_info(known.get(name))
        info = msgspec.structs.replace(
            info, title=item.title, hosts=item.hosts, env=item.env, scopes=item.scopes
        )
    except (CredentialError, HomeError, UsageError) as error:
        return msgspec.structs.replace(info, state=GrantState.UNREADABLE, problem=str(error))
    except (GrantError, ConfigError):
        pass  # stored by a newer Moat or by the Go one; still listed, so that it can be revoked
    try:
        credential = store.get(name)
    except (CredentialError, HomeError) as error:
        return msgspec.structs.replace(info, state=GrantState.UNREADABLE, problem=str(error))
    if name == npm.NAME:
        try:
            hosts = tuple(registry.host for registry in npm.decode(credential.token))
        except GrantError as error:
            return msgspec.structs.replace(info, state=GrantState.UNREADABLE, problem=str(error))
        info = msgspec.structs.replace(info, hosts=hosts)
    state = _state(credential, used)
    return msgspec.structs.replace(
        info,
        state=state,
        problem=_problem(state, credential, used),
        source=credential.metadata.get("source", ""),
        account=credential.metadata.get("account", ""),
        created_at=credential.created_at,
        expires_at=credential.expires_at,
    )


def _role_info(info: GrantInfo, credential: Credential) -> GrantInfo:
    """Raises UsageError for a record that is no role."""
    role = role_of(credential.token, credential.metadata)
    minutes = role.session_duration // 60
    facts = [role.region, f"{minutes} min", *(["with a session policy"] if role.policy else [])]
    return msgspec.structs.replace(
        info,
        title=f"AWS ({', '.join(facts)})",
        hosts=role.hosts,
        account=role.arn,
        source=f"AWS profile {role.profile}" if role.profile else "this machine's AWS credentials",
        env={"AWS_CONFIG_FILE": "/moat/aws/config", "AWS_REGION": role.region},
        settings=metadata_of(role),
        created_at=credential.created_at,
    )


def _ssh_grants(home: Home, profile: str, uses: dict[tuple[str, str], _Use]) -> list[GrantInfo]:
    from engine.ssh_agent import SshMappings

    found: list[GrantInfo] = []
    try:
        mappings = SshMappings(home, profile).all()
    except (CredentialError, HomeError) as error:
        return [GrantInfo("ssh", profile, "SSH", state=GrantState.UNREADABLE, problem=str(error))]
    for item in mappings:
        used = uses.get((profile, item.grant), _Use())
        found.append(
            GrantInfo(
                item.grant,
                profile,
                f"SSH to {item.host}",
                (item.host,),
                source="ssh-agent",
                account=item.key_fingerprint,
                env={"SSH_AUTH_SOCK": "/run/moat/ssh/agent.sock"},
                settings={"port": str(item.port), "host_keys": _host_keys(item)},
                created_at=item.created_at,
                last_used_at=used.at,
                last_used_run=used.run,
            )
        )
    return found


def _problem(state: GrantState, credential: Credential, used: _Use) -> str:
    from engine.run.granted.refresh import FAILED, REFUSED

    remedy = f"replace it: moat grant {credential.provider}"
    if state is GrantState.REFUSED:
        return f"the service refused it on {used.refused_at}; {remedy}"
    if state is GrantState.STALE:
        again = "" if REFUSED in credential.metadata else "runs try again, or "
        return f"{credential.metadata[FAILED]}; {again}{remedy}"
    return ""


def _host_keys(item: Mapping) -> str:
    """One line each, kind and fingerprint; "" where none are pinned, or they cannot be read."""
    from engine.ssh_agent import shown_key

    try:
        return "\n".join(f"{key.kind} {key.fingerprint}" for key in map(shown_key, sorted(item.blobs())))
    except GrantError:
        return ""


def _state(credential: Credential, used: _Use) -> GrantState:
    from engine.run.granted.refresh import FAILED, TOKEN

    if FAILED in credential.metadata:
        return GrantState.STALE
    left = _moment(credential.expires_at) - datetime.now(UTC) if credential.expires_at else _EXPIRING * 2
    if TOKEN in credential.metadata:
        left = _EXPIRING * 2  # whoever uses it refreshes it first
    if left <= timedelta(0):
        return GrantState.EXPIRED
    if used.refused_at and _moment(used.refused_at) >= _moment(credential.created_at):
        return GrantState.REFUSED
    return GrantState.EXPIRING if left <= _EXPIRING else GrantState.VALID


def _moment(text: str) -> datetime:
    """Of a record of ours; "" is long ago."""
    return datetime.fromisoformat(text) if text else datetime.min.replace(tzinfo=UTC)


class _Use(msgspec.Struct, frozen=True):
    """at, run: the last use, RFC 3339 and run id. refused_at: as that of GrantUse, in whichever run."""

    at: str = ""
    run: str = ""
    refused_at: str = ""


def _last_uses(home: Home) -> dict[tuple[str, str], _Use]:
    """(profile, grant) -> its last use, from every run's `usage.json`."""
    from engine.run.reading.library import list_runs

    latest: dict[tuple[str, str], _Use] = {}
    for run in list_runs(home):
        try:
            uses = msgspec.json.decode(home.read(home.run(run.id) / "usage.json"), type=dict[str, GrantUse])
        except (FileNotFoundError, HomeError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            continue
        for grant, use in uses.items():
            key = (run.profile, grant)
            known = latest.get(key, _Use())
            refused_at = max(known.refused_at, use.refused_at)
            last = (use.last_used_at, run.id) if use.last_used_at > known.at else (known.at, known.run)
            latest[key] = _Use(*last, refused_at)
    return latest
