"""npm: the registries of the person's own `.npmrc`, each with its token.

No host is built in: a token goes where the person's own npm would send it, to the registries that their
user configuration names. A workspace's `.npmrc` is never read; it is the agent's.

Stored is a JSON list of registries (`host`, `token`, `token_source`, `scopes` as the Go Moat writes them).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from engine.config.hosts import parse_host_pattern
from engine.errors import GrantError, UsageError
from engine.grants.table import HostRule, Provider, Source
from engine.grants.tokens import check_token

NAME = "npm"
PLACEHOLDER = "npm_moatProxyInjected00000000"
CONFIG = "/moat/npm/npmrc"  # in the container
NPM = Provider(
    title="npm registries",
    hosts=(),
    env={"NPM_CONFIG_USERCONFIG": CONFIG, "NPM_TOKEN": PLACEHOLDER},
    sources=(Source(file="~/.npmrc"), Source(env="NPM_TOKEN")),
    name=NAME,
)

_PUBLIC = "https://registry.npmjs.org/"
_LINE = re.compile(r"\s*([^=;#\s][^=]*?)\s*=\s*(.*?)\s*\Z")
_AUTH = re.compile(r"(//[^\s:]+(?::[0-9]+)?/(?:[^\s]*/)?):_authToken\Z")
_SCOPED = re.compile(r"(@[A-Za-z0-9._~-]+):registry\Z")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PATH = re.compile(r"/(?:[A-Za-z0-9._~@%-]+/)*")
_NPM_TIMEOUT = 10.0  # seconds


class Registry(msgspec.Struct, frozen=True, omit_defaults=True):
    """scopes: such as @me, whose packages come from here; default: where the rest comes from."""

    host: str
    token: str
    token_source: str = ""
    scopes: tuple[str, ...] = ()
    port: int = 443
    path: str = "/"
    default: bool = False

    def __repr__(self) -> str:
        return f"Registry({self.place})"

    @property
    def place(self) -> str:
        """As npm writes it: //host[:port]/path/."""
        return f"//{self.host}{'' if self.port == 443 else f':{self.port}'}{self.path}"


def find(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The stored form and its source; None when neither `.npmrc` nor NPM_TOKEN has a token. Blocking."""
    file = _user_config(environ)
    settings = _read(file, environ)
    tokens = {match[1]: value for key, value in settings.items() if (match := _AUTH.match(key)) and value}
    if tokens:
        default = settings.get("registry") or _PUBLIC
        place = _place(default) if _is_https(default) else ""
        return encode(_registries(tokens, settings, place, "npmrc")), "~/.npmrc"
    if token := environ.get("NPM_TOKEN", "").strip():
        return single(token, environ), "NPM_TOKEN"
    return None


def single(token: str, environ: Mapping[str, str]) -> str:
    """The stored form of one token: for the registry that the person's npm uses by default. Blocking."""
    settings = _read(_user_config(environ), environ)
    default = settings.get("registry") or _asked(environ) or _PUBLIC
    place = _place(default)
    return encode(_registries({place: token}, settings, place, "environment"))


def stored_form(value: str, environ: Mapping[str, str]) -> str:
    """`value` itself when it is a list of registries, else the one token made into one."""
    return value if value.startswith("[") else single(check_token(value), environ)


def encode(registries: list[Registry]) -> str:
    return msgspec.json.encode(registries).decode()


def decode(stored: str) -> list[Registry]:
    """Raises GrantError for what is no list of registries that a token may go to."""
    try:
        found = msgspec.json.decode(stored, type=list[Registry])
    except (msgspec.MsgspecError, RecursionError):
        found = []
    if not found:
        raise GrantError(
            "the stored npm credential names no registry", remedy="Store it again: moat grant npm"
        )
    for registry in found:
        _check(registry)
    return found


def host_rules(registries: list[Registry]) -> tuple[HostRule, ...]:
    return tuple(HostRule(r.host, "Authorization", "Bearer {token}", (r.port,)) for r in registries)


def config_file(registries: list[Registry], bundle: str) -> bytes:
    """The container's own `.npmrc`: the same registries, the placeholder for each token. bundle: the CAs to
    trust, because a `cafile` of the image's would go before what Node is told otherwise.
    """
    lines = [f"cafile={bundle}"]
    for registry in registries:
        if registry.default:
            lines.append(f"registry=https:{registry.place}")
        lines += [f"{scope}:registry=https:{registry.place}" for scope in registry.scopes]
        lines.append(f"{registry.place}:_authToken={PLACEHOLDER}")
    return ("\n".join(lines) + "\n").encode()


def _registries(
    tokens: Mapping[str, str], settings: Mapping[str, str], default: str, source: str
) -> list[Registry]:
    scopes: dict[str, list[str]] = {}
    for key, url in settings.items():
        if (match := _SCOPED.match(key)) and _is_https(url):
            scopes.setdefault(_place(url), []).append(match[1])
    found: dict[tuple[str, int], Registry] = {}
    for place, token in tokens.items():
        parts = urlsplit(place)
        if "@" in place:
            raise GrantError(f"not a registry that a token can go to: {place[:80]!r}")
        registry = Registry(
            host=(parts.hostname or "").lower(),
            token=check_token(token),
            token_source=source,
            scopes=tuple(scopes.get(place, ())),
            port=parts.port or 443,
            path=parts.path,
            default=place == default,
        )
        _check(registry)
        other = found.setdefault((registry.host, registry.port), registry)
        if other.token != registry.token:
            raise GrantError(
                f"two tokens are there for the one host {registry.host}, which would get both",
                remedy="Keep one of its lines, or store one token with: moat grant npm --stdin",
            )
    return list(found.values())


def _check(registry: Registry) -> None:
    try:
        plain = str(parse_host_pattern(registry.host)) == registry.host and "*" not in registry.host
    except UsageError as error:
        raise GrantError(
            f"not a registry that a token can go to: {error.what}", remedy=error.remedy
        ) from None
    scopes = all(_SCOPED.match(f"{scope}:registry") for scope in registry.scopes)
    if not plain or not 0 < registry.port < 65536 or not _PATH.fullmatch(registry.path) or not scopes:
        raise GrantError(f"not a registry that a token can go to: {registry.place[:80]!r}")


def _is_https(url: str) -> bool:
    return url.lower().startswith("https://")


def _place(url: str) -> str:
    """`https://host/path` as npm's `//host/path/`. Raises GrantError for what is not https."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.netloc or "@" in parts.netloc:
        raise GrantError(
            f"the npm registry {url[:80]!r} is not one that a token can go to",
            remedy="A token goes over https only: set `registry=https://…` in your .npmrc.",
        )
    return f"//{parts.netloc.lower()}{parts.path.rstrip('/')}/"


def _user_config(environ: Mapping[str, str]) -> Path:
    named = environ.get("NPM_CONFIG_USERCONFIG") or environ.get("npm_config_userconfig")
    return Path(named) if named else Path(environ.get("HOME") or Path.home()) / ".npmrc"


def _read(file: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of an `.npmrc` (ini without sections, `${VAR}` from the environment)."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return {}
    settings: dict[str, str] = {}
    for line in text.splitlines():
        if match := _LINE.match(line):
            value = match[2].strip("\"'")
            settings[match[1]] = _VARIABLE.sub(lambda found: environ.get(found[1], ""), value)
    return settings


def _asked(environ: Mapping[str, str]) -> str:
    """What npm says its registry is, "" when it is not there. Asked at `/`: no project's file counts."""
    import subprocess  # here, because most who read the table run no command

    program = shutil.which("npm", path=environ.get("PATH", os.defpath))
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "config", "get", "registry"],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            timeout=_NPM_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = done.stdout.decode("utf-8", "replace").strip()
    return text if done.returncode == 0 and text.startswith("http") else ""
