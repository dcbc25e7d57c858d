"""What a workspace's `dependencies` ask for, one word each. Pure.

node@20, python@3.12, go@1.22        a language, in the version that its images are named by
postgres@17, redis@7, mysql@8        a service beside the agent
docker:host, docker:dind             a Docker engine for the agent
npm:eslint, npm:@scope/cli@1.2.3     a package of the language's own registry, installed for everybody
pip:ruff, pip:ruff@0.6.1
ripgrep                              a package of the image's own distribution
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from engine.config.values import nearest, shown
from engine.errors import UsageError

type DependencyKind = Literal["language", "service", "docker", "npm", "pip", "package"]

LANGUAGES = ("node", "python", "go")
SERVICES = ("postgres", "redis", "mysql")
DOCKER_ACCESS = ("host", "dind")
_VERSIONED: dict[str, DependencyKind] = {
    **dict.fromkeys(LANGUAGES, "language"),
    **dict.fromkeys(SERVICES, "service"),
}

_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,2}")
# Debian policy 5.6.7; apt-get takes a last "-" for the wish to remove a package.
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{0,98}[a-z0-9+.]")
_PACKAGE_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
_NPM = re.compile(r"(@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]{0,120}")
_PIP = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")  # PEP 508
_EXAMPLES = "Write a word such as node@20, postgres@17, docker:dind, npm:NAME, pip:NAME, or a package's name."


class Dependency(msgspec.Struct, frozen=True):
    """name: "node", "postgres", "host", "@scope/cli", "ripgrep". version: "" where it does not matter."""

    kind: DependencyKind
    name: str
    version: str = ""

    def __str__(self) -> str:
        prefix = f"{self.kind}:" if self.kind in ("docker", "npm", "pip") else ""
        return f"{prefix}{self.name}" + (f"@{self.version}" if self.version else "")


def parse_dependency(text: str) -> Dependency:
    """Raises UsageError. Whatever comes out of it is safe as one word of a command: no option, no space."""
    kind, colon, rest = text.partition(":")
    if colon:
        return _prefixed(text, kind, rest)
    name, at, version = text.partition("@")
    if name in _VERSIONED:
        if not _VERSION.fullmatch(version):
            raise UsageError(
                f"expected {name} with its version, such as {_sample(name)}, found {shown(text)}",
                remedy=f"Write {_sample(name)}.",
            )
        return Dependency(_VERSIONED[name], name, version)
    if at:
        raise UsageError(
            f"expected a dependency such as node@20, found {shown(text)}",
            remedy=f"{nearest(name, _VERSIONED)} Only {', '.join(_VERSIONED)} take a version.".strip(),
        )
    if not _PACKAGE.fullmatch(text):
        raise UsageError(f"expected a dependency such as node@20, found {shown(text)}", remedy=_EXAMPLES)
    return Dependency("package", text)


def check_dependencies(wanted: Iterable[Dependency]) -> None:
    """Raise UsageError where two exclude each other: one language, service or package twice, two engines."""
    seen: dict[tuple[str, str], Dependency] = {}
    for each in wanted:
        key = (each.kind, "" if each.kind == "docker" else each.name)
        if (other := seen.get(key)) is not None:
            raise UsageError(f"{other} and {each} exclude each other", remedy="Keep one of the two.")
        seen[key] = each


def _prefixed(text: str, kind: str, rest: str) -> Dependency:
    if kind == "docker":
        if rest not in DOCKER_ACCESS:
            raise UsageError(
                f"expected docker:host or docker:dind, found {shown(text)}",
                remedy=nearest(text, ("docker:host", "docker:dind")),
            )
        return Dependency("docker", rest)
    if kind in ("npm", "pip"):
        name, at, version = rest.rpartition("@") if "@" in rest[1:] else (rest, "", "")
        if (_NPM if kind == "npm" else _PIP).fullmatch(name) and (
            _PACKAGE_VERSION.fullmatch(version) if at else not version
        ):
            return Dependency("npm" if kind == "npm" else "pip", name, version)
        raise UsageError(
            f"expected {kind}:NAME or {kind}:NAME@VERSION, found {shown(text)}",
            remedy=f"Write the package's name as {kind} knows it.",
        )
    raise UsageError(f"expected a dependency such as node@20, found {shown(text)}", remedy=_EXAMPLES)


def _sample(name: str) -> str:
    samples = {"node": "20", "python": "3.12", "go": "1.22", "postgres": "17", "redis": "7", "mysql": "8"}
    return f"{name}@{samples[name]}"
