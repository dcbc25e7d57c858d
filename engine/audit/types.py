"""What may be recorded: the entry types, their fields in the Go Moat's declared order, and one function
per type that builds an entry.

A builder returns `(type, data)`, ready for `AuditLog.append` and `AuditLog.note`. Those accept nothing
that does not fit the table, so a misspelt field can never reach a log that cannot be corrected later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from engine.errors import AuditError

type EntryData = tuple[str, dict[str, Any]]


class Field(msgspec.Struct, frozen=True):
    """One field of an entry's data. Optional ones are left out when empty, as Go's `omitempty` does."""

    name: str
    kind: type
    optional: bool = False
    choices: tuple[str, ...] = ()


ENTRY_TYPES: dict[str, tuple[Field, ...]] = {
    "console": (Field("line", str),),
    "network": (
        Field("method", str),
        Field("url", str),
        Field("status_code", int),
        Field("duration_ms", int),
        Field("credential_used", str, optional=True),
        Field("error", str, optional=True),
    ),
    "credential": (Field("name", str), Field("action", str), Field("host", str)),
    "secret": (Field("name", str), Field("backend", str, choices=("op", "ssm", "env"))),
    "ssh": (
        Field("action", str, choices=("list", "sign_allowed", "sign_denied")),
        Field("host", str, optional=True),
        Field("fingerprint", str, optional=True),
        Field("error", str, optional=True),
    ),
    "container": (
        Field("action", str),
        Field("privileged", bool, optional=True),
        Field("reason", str, optional=True),
        Field("buildkit_enabled", bool, optional=True),
        Field("buildkit_container_id", str, optional=True),
        Field("buildkit_network_id", str, optional=True),
    ),
    "exec": (Field("command", list), Field("has_stdin", bool), Field("exit_code", int)),
    "policy": (
        Field("scope", str),
        Field("operation", str),
        Field("decision", str),
        Field("rule", str, optional=True),
        Field("message", str, optional=True),
    ),
}
DECLARED_ORDER = {name: tuple(field.name for field in fields) for name, fields in ENTRY_TYPES.items()}


def checked(type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` without its empty optional fields; AuditError when it does not fit the table."""
    fields = ENTRY_TYPES.get(type)
    if fields is None:
        raise AuditError(f"there is no audit entry type {type!r}", detail="known: " + ", ".join(ENTRY_TYPES))
    kept = {}
    for field in fields:
        if field.name not in data:
            if field.optional:
                continue
            raise AuditError(f"audit entry {type!r} lacks its field {field.name!r}")
        value = data[field.name]
        if not _fits(field, value):
            raise AuditError(f"audit entry {type!r}: field {field.name!r} does not hold what it should")
        if value or not field.optional:
            kept[field.name] = value
    for name in data:
        if name not in DECLARED_ORDER[type]:
            raise AuditError(f"audit entry {type!r} has no field {name!r}")
    return kept


def _fits(field: Field, value: object) -> bool:
    if field.kind is list:
        return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    if field.kind is int and isinstance(value, bool):
        return False
    return isinstance(value, field.kind) and (not field.choices or value in field.choices)


def console(line: str) -> EntryData:
    """One line the agent printed, without its line end."""
    return "console", {"line": line}


def network(
    method: str, url: str, status_code: int, duration_ms: int, *, credential_used: str = "", error: str = ""
) -> EntryData:
    """One finished request; `url` already redacted, `credential_used` the grant's name."""
    return _without_empty(
        "network",
        method=method,
        url=url,
        status_code=status_code,
        duration_ms=duration_ms,
        credential_used=credential_used,
        error=error,
    )


def credential(name: str, action: str, host: str) -> EntryData:
    """A grant's use at a host; action `intent` is recorded before the credential may leave."""
    return "credential", {"name": name, "action": action, "host": host}


def secret(name: str, backend: Literal["op", "ssm", "env"]) -> EntryData:
    """A secret was resolved into the environment variable `name`; never the value."""
    return "secret", {"name": name, "backend": backend}


def ssh(
    action: Literal["list", "sign_allowed", "sign_denied"],
    *,
    host: str = "",
    fingerprint: str = "",
    error: str = "",
) -> EntryData:
    """One request to the SSH agent."""
    return _without_empty("ssh", action=action, host=host, fingerprint=fingerprint, error=error)


def container(
    action: str,
    *,
    privileged: bool = False,
    reason: str = "",
    buildkit_enabled: bool = False,
    buildkit_container_id: str = "",
    buildkit_network_id: str = "",
) -> EntryData:
    """A step of the container's life: `created`, `started`, `stopped` …"""
    return _without_empty(
        "container",
        action=action,
        privileged=privileged,
        reason=reason,
        buildkit_enabled=buildkit_enabled,
        buildkit_container_id=buildkit_container_id,
        buildkit_network_id=buildkit_network_id,
    )


def exec(command: Sequence[str], *, has_stdin: bool, exit_code: int) -> EntryData:
    """A command that was run inside the container after its start."""
    return "exec", {"command": list(command), "has_stdin": has_stdin, "exit_code": exit_code}


def policy(scope: str, operation: str, decision: str, rule: str = "", message: str = "") -> EntryData:
    """A decision of the policy, e.g. scope `network`, operation `CONNECT host:443`, decision `denied`."""
    return _without_empty(
        "policy", scope=scope, operation=operation, decision=decision, rule=rule, message=message
    )


def _without_empty(type: str, **data: str | int | bool) -> EntryData:
    optional = {field.name for field in ENTRY_TYPES[type] if field.optional}
    return type, {name: value for name, value in data.items() if value or name not in optional}
