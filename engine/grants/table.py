"""The provider table: which hosts a credential may go to, in which form, and what stands in its place.

`providers.yaml` is data; this module gives it types and refuses a row that could send a credential
astray: a header that proxies interpret, a validation request to a host that is not the grant's, a
placeholder that is not plain text.
"""

from __future__ import annotations

import base64
import functools
import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from engine.config.environment import env_problem
from engine.config.grant_limits import Limits, Scope
from engine.config.hosts import parse_host_pattern
from engine.errors import ConfigError, UsageError
from engine.grants.tokens import check_token, is_placeholder

_TABLE = Path(__file__).with_name("providers.yaml")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")  # short and plain: nothing that could be a credential
_SCOPE = re.compile(r"[a-z][a-z0-9-]{0,30}")
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
LATER = {"ssh": "SSH"}


class HostRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """pattern: `host` or `*.suffix` (one or more labels); format: see render_header."""

    pattern: str
    header: str
    format: str
    ports: tuple[int, ...] = (443,)


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One place on the host where a value is looked for: a variable, a command that prints it, or a file
    (`~/` is the person's home) whose JSON has it at the dotted path `field`; with an OAuth refresh token at
    `refresh`, and when the value expires at `expires` (milliseconds since 1970, or RFC 3339).
    """

    env: str = ""
    command: tuple[str, ...] = ()
    file: str = ""
    field: str = ""
    refresh: str = ""
    expires: str = ""

    def __str__(self) -> str:
        return self.env or self.file or " ".join(self.command)


class Validation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request that shows whether the service takes a value. account: dotted path in its JSON answer.

    refused: statuses that mean "not this credential"; unknown: those that mean "no such request here".
    """

    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    body: str = ""
    account: str = ""
    refused: tuple[int, ...] = (401, 403)
    unknown: tuple[int, ...] = ()


class Refresh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where OAuth access tokens are refreshed (RFC 6749 §6). body: `form`, as it says there, or `json`."""

    url: str
    client_id: str = ""
    body: str = "form"


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """env: variable -> placeholder that the container gets.

    refresh: how a value that was found with a refresh token is renewed before it expires.
    setup: a command that makes a value, for the person's own terminal.
    scopes: name -> what `PROVIDER:NAME` lets through. limits: of every grant of it.
    shares: built-in providers whose hosts a person's own one covers too, on purpose.
    name, origin (the file that it is from, "" for built in): set by whoever reads a table, never in one.
    """

    title: str
    hosts: tuple[HostRule, ...]
    env: dict[str, str] = {}
    sources: tuple[Source, ...] = ()
    setup: tuple[str, ...] = ()
    validation: Validation | None = None
    refresh: Refresh | None = None
    scopes: dict[str, Scope] = {}
    limits: Limits = Limits()
    shares: tuple[str, ...] = ()
    name: str = ""
    origin: str = ""

    def source_names(self) -> tuple[str, ...]:
        """For people: `GITHUB_TOKEN`, `gh auth token`, in the order they are tried."""
        return tuple(str(source) for source in self.sources)


@functools.cache
def builtin_providers() -> dict[str, Provider]:
    """Every provider this Moat can grant, by name. The same object each time: do not change it."""
    return load_table(_TABLE)


def load_table(file: Path) -> dict[str, Provider]:
    """The table in `file`. Raises ConfigError naming provider and reason."""
    try:
        rows = msgspec.yaml.decode(file.read_bytes(), type=dict[str, Provider])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a provider table: {error}", file=file) from None
    for name, row in rows.items():
        if found := flaw(name, row):
            raise ConfigError(f"{name}: {found.text}", file=file, key=name)
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


class Flaw(msgspec.Struct, frozen=True):
    """path: where in the row, e.g. `hosts[0]`; "" for the row itself."""

    path: str
    text: str


def flaw(name: str, row: Provider) -> Flaw | None:
    """What is wrong with a row of any table; None when nothing is."""
    if not _NAME.fullmatch(name) or row.name or row.origin:
        return Flaw("", "expected a name of at most 20 lower-case letters, digits and -, as the key only")
    if not row.title.strip() or not row.title.isprintable() or len(row.title) > 60:
        return Flaw("title", "expected a title of at most 60 printable characters")
    if not row.hosts:
        return Flaw("hosts", "expected at least one host")
    for index, rule in enumerate(row.hosts):
        if text := _host_flaw(rule):
            return Flaw(f"hosts[{index}]", text)
    for variable, placeholder in row.env.items():
        text = f"env {variable[:40]!r}: expected a variable and a placeholder without spaces"
        if not _VARIABLE.fullmatch(variable) or not _PLAIN.fullmatch(placeholder):
            return Flaw("env", text)
        if problem := env_problem(variable, placeholder):
            return Flaw("env", problem[0])
        if not is_placeholder(placeholder):  # what nobody could take for a value, nor find by chance
            return Flaw("env", f"{variable}: expected a placeholder that contains moat-proxy-injected")
    for index, source in enumerate(row.sources):
        if sum(map(bool, (source.env, source.command, source.file))) != 1:
            return Flaw(f"sources[{index}]", "expected each source to have either env or command, or file")
        if source.env and not _VARIABLE.fullmatch(source.env):
            return Flaw(f"sources[{index}]", "expected env to be a variable's name")
        if bool(source.file) != bool(source.field):
            return Flaw(f"sources[{index}]", "expected file and field together")
        if (source.refresh or source.expires) and not (source.file and row.refresh):
            return Flaw(f"sources[{index}]", "expected refresh and expires beside a file, and refresh: below")
    if row.refresh and (text := _refresh_flaw(row.refresh)):
        return Flaw("refresh", text)
    if row.validation and not rule_for(row, row.validation.url):
        return Flaw(
            "validation", "expected the validation request to go to a host and port of the grant over https"
        )
    return _limit_flaw(row)


def _limit_flaw(row: Provider) -> Flaw | None:
    try:
        row.limits.check()
    except UsageError as error:
        return Flaw("limits", error.what)
    patterns = [rule.pattern for rule in row.hosts]
    for name, scope in row.scopes.items():
        where = f"scopes.{name}"
        if not _SCOPE.fullmatch(name) or not scope.allow:
            return Flaw("scopes", "expected a name of lower-case letters for each scope, and what it allows")
        for rule in scope.allow:
            if rule.host not in patterns:
                return Flaw(where, f"expected one of the hosts above, found {rule.host[:60]!r}")
            if not rule.methods or not rule.paths:
                return Flaw(where, "expected methods and paths")
            try:
                Limits(rule.methods, rule.paths).check()
            except UsageError as error:
                return Flaw(where, error.what)
    return None


def _refresh_flaw(refresh: Refresh) -> str:
    try:
        parts = urlsplit(refresh.url)
        plain = str(parse_host_pattern(parts.hostname or "")) == parts.hostname and "*" not in refresh.url
        port = parts.port
    except (ValueError, UsageError):
        plain, port = False, None
    if (
        not plain
        or parts.scheme != "https"
        or "@" in parts.netloc
        or port == 0
        or not _PLAIN.fullmatch(refresh.url)
    ):
        return "expected the url of a token endpoint over https"
    if refresh.body not in ("form", "json"):
        return "expected body to be form or json"
    return ""


def _host_flaw(rule: HostRule) -> str:
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
    return ""


def rule_for(row: Provider, url: str) -> HostRule | None:
    """The first rule of `row` that covers an https URL of ours (agents' requests are judged in the proxy)."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        return None
    if parts.scheme != "https" or parts.username is not None:
        return None
    for rule in row.hosts:
        suffix = rule.pattern[1:] if rule.pattern.startswith("*.") else ""
        if port in rule.ports and (host == rule.pattern or (suffix and host.endswith(suffix))):
            return rule
    return None
