"""The provider table: which hosts a credential may go to, in which form, and what stands in its place.

`providers.yaml` is data; this module gives it types and refuses a row that could send a credential
astray: a header that proxies interpret, a validation request to a host that is not the grant's, a
placeholder that is not plain text.
"""

from __future__ import annotations

import base64
import difflib
import functools
import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from engine.config.hosts import parse_host_pattern
from engine.errors import ConfigError, GrantError, UnknownProvider, UsageError
from engine.grants.tokens import check_token

_TABLE = Path(__file__).with_name("providers.yaml")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HEADER = re.compile(r"[A-Za-z0-9-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMAT = re.compile(r"[ -z]*\{(?:token|basic:([!-9;-z]+))\}[ -z]*")  # printable, one brace pair
_PLAIN = re.compile(r"[!-~]+")
# Headers that a proxy or server uses for the message itself; a credential in one would not stay one.
_NOT_FOR_CREDENTIALS = frozenset(
    (
        "connection", "content-length", "content-type", "cookie", "expect", "host", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    )
)  # fmt: skip
# Promised by the seeds, delivered by code of their own and not by this table.
_LATER = {"aws": "AWS", "ssh": "SSH", "npm": "npm"}


class HostRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """pattern: `host` or `*.suffix` (one or more labels); format: see render_header."""

    pattern: str
    header: str
    format: str
    ports: tuple[int, ...] = (443,)


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One place on the host where a value is looked for: a variable, or a command that prints it."""

    env: str = ""
    command: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.env or " ".join(self.command)


class Validation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request that shows whether the service takes a value. account: dotted path in its JSON answer."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    body: str = ""
    account: str = ""
    refused: tuple[int, ...] = (401, 403)


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """env: variable -> placeholder that the container gets."""

    title: str
    hosts: tuple[HostRule, ...]
    env: dict[str, str] = {}
    sources: tuple[Source, ...] = ()
    validation: Validation | None = None
    name: str = ""

    def source_names(self) -> tuple[str, ...]:
        """For people: `GITHUB_TOKEN`, `gh auth token`, in the order they are tried."""
        return tuple(str(source) for source in self.sources)


@functools.cache
def builtin_providers() -> dict[str, Provider]:
    """Every provider this Moat can grant, by name. The same object each time: do not change it."""
    return load_table(_TABLE)


def provider(name: str) -> Provider:
    """Raises UnknownProvider naming the nearest, or GrantError for one that comes in a later version."""
    table = builtin_providers()
    if found := table.get(name):
        return found
    if title := _LATER.get(name.partition(":")[0]):
        raise GrantError(
            f"the grant {name[:60]!r} is not supported yet by this version of Moat",
            remedy=f"Leave {title} out for now.",
        )
    close = difflib.get_close_matches(name.lower(), [*table, *_LATER], n=1, cutoff=0.5)
    known = f"The known ones are: {', '.join(sorted(table))}."
    raise UnknownProvider(
        f"there is no provider {name[:60]!r}",
        remedy=f"Did you mean {close[0]!r}? {known}" if close else known,
    )


def load_table(file: Path) -> dict[str, Provider]:
    """The table in `file`. Raises ConfigError naming provider and reason."""
    try:
        rows = msgspec.yaml.decode(file.read_bytes(), type=dict[str, Provider])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a provider table: {error}", file=file) from None
    for name, row in rows.items():
        if problem := _problem(name, row):
            raise ConfigError(f"{name}: {problem}", file=file, key=name)
    return {name: msgspec.structs.replace(row, name=name) for name, row in rows.items()}


def render_header(rule: HostRule, token: str) -> str:
    """The header's value: `{token}` becomes the token, `{basic:USER}` base64 of `USER:token`.

    Raises GrantError for a token that cannot be in a header (see check_token).
    """
    token = check_token(token)
    before, _, rest = rule.format.partition("{")
    field, _, after = rest.partition("}")
    kind, _, user = field.partition(":")
    value = token if kind == "token" else base64.b64encode(f"{user}:{token}".encode()).decode()
    return before + value + after


def _problem(name: str, row: Provider) -> str:
    """What is wrong with a row, "" when nothing is."""
    if not _NAME.fullmatch(name) or row.name:
        return "expected a name of lower-case letters, digits and -, as the key only"
    if not row.hosts:
        return "expected at least one host"
    for rule in row.hosts:
        try:
            plain = str(parse_host_pattern(rule.pattern)) == rule.pattern and ":" not in rule.pattern
        except UsageError as error:
            return error.what
        if not plain:
            return f"{rule.pattern}: expected a lower-case host name without a port"
        if not rule.ports or not all(0 < port < 65536 for port in rule.ports):
            return f"{rule.pattern}: expected ports from 1 to 65535"
        if not _HEADER.fullmatch(rule.header) or rule.header.lower() in _NOT_FOR_CREDENTIALS:
            return f"{rule.pattern}: the header {rule.header!r} cannot carry a credential"
        if not _FORMAT.fullmatch(rule.format):
            return f"{rule.pattern}: expected a format with one {{token}} or {{basic:USER}}"
    for variable, placeholder in row.env.items():
        if not _VARIABLE.fullmatch(variable) or not _PLAIN.fullmatch(placeholder):
            return f"env {variable!r}: expected a variable and a placeholder without spaces"
    for source in row.sources:
        if bool(source.env) == bool(source.command) or (source.env and not _VARIABLE.fullmatch(source.env)):
            return "expected each source to have either env or command"
    if row.validation and not rule_for(row, row.validation.url):
        return "expected the validation request to go to a host and port of the grant over https"
    return ""


def rule_for(row: Provider, url: str) -> HostRule | None:
    """The first rule of `row` that covers an https URL of ours (agents' requests are judged in the proxy)."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    if parts.scheme != "https" or parts.username is not None:
        return None
    for rule in row.hosts:
        suffix = rule.pattern[1:] if rule.pattern.startswith("*.") else ""
        if port in rule.ports and (host == rule.pattern or (suffix and host.endswith(suffix))):
            return rule
    return None
