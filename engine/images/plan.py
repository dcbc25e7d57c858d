"""From the words of agent.yaml to the image to begin with and the steps that are made on it, in order.

The first language picks the base: its official image. Every further one is copied out of its own official
image, by the same trust as a base, so that it has the version that was asked for or is refused: Debian's
packages have other versions. Then Debian's packages, npm's, pip's, and the hooks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from engine.config import Dependency, DependencyKind, HooksConfig
from engine.errors import UsageError
from engine.images import scripts

DEFAULT_IMAGE = "debian:bookworm-slim"

# Python's modules need the C library and others of the Debian release that they were compiled on.
RELEASE = "bookworm"
_KINDS: tuple[DependencyKind, ...] = ("language", "package", "npm", "pip")
_BASES = {"node": "node:{}-slim", "python": "python:{}-slim", "go": "golang:{}"}
_BASES_OF_RELEASE = {"node": f"node:{{}}-{RELEASE}-slim", "go": f"golang:{{}}-{RELEASE}"}
_SOURCES = _BASES | {"python": f"python:{{}}-slim-{RELEASE}"}


class Step(msgspec.Struct, frozen=True):
    """One layer. title: for people, on one line. script: for `sh -ec`.

    as_agent: as the agent's user instead of root. source: an image that `paths` are copied from before.
    """

    title: str
    script: str
    as_agent: bool = False
    source: str = ""
    paths: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    base: str
    steps: tuple[Step, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(step.source for step in self.steps if step.source))


NO_PLAN = Plan("")


def plan_image(wanted: Iterable[Dependency], hooks: HooksConfig, image: str = "") -> Plan:
    """image: what a person or agent.yaml named to begin with; "" leaves it to the languages.

    Raises UsageError for what cannot be put together. Services and Docker access are no part of an image.
    """
    of: dict[DependencyKind, list[Dependency]] = {}
    for each in wanted:
        of.setdefault(each.kind, []).append(each)
    languages = of.get("language", [])
    for kind, language, sample in (("npm", "node", "node@22"), ("pip", "python", "python@3.12")):
        packages = of.get(kind, [])  # type: ignore[call-overload]  # both are kinds
        if packages and not image and language not in (each.name for each in languages):
            raise UsageError(
                f"{packages[0]} needs {language}, and agent.yaml asks for none",
                remedy=f"Add {sample} to dependencies, or name an image that has {language}.",
            )
    base, added = (image, languages) if image else _base(languages)
    steps = [_language(each, base) for each in added]
    if packages := _words(of.get("package", [])):
        steps.append(Step(f"packages {', '.join(packages)}", scripts.packages(packages)))
    if packages := _words(of.get("npm", [])):
        steps.append(Step(f"npm {', '.join(packages)}", scripts.npm(packages)))
    if packages := _words(of.get("pip", []), "=="):
        steps.append(Step(f"pip {', '.join(packages)}", scripts.pip(packages)))
    if hooks.post_build_root.strip():
        steps.append(Step(hook_title("post_build_root", hooks.post_build_root), hooks.post_build_root))
    if hooks.post_build.strip():
        steps.append(Step(hook_title("post_build", hooks.post_build), hooks.post_build, as_agent=True))
    return Plan(base, tuple(steps))


def image_wishes(wanted: Iterable[Dependency], hooks: HooksConfig) -> tuple[str, ...]:
    """What of it has to be in an image: the words of dependencies, and the hooks by hook_title."""
    words = [str(each) for each in wanted if each.kind in _KINDS]
    root, agent = hooks.post_build_root, hooks.post_build
    words += [hook_title("post_build_root", root)] if root.strip() else []
    words += [hook_title("post_build", agent)] if agent.strip() else []
    return tuple(words)


def hook_title(name: str, lines: str) -> str:
    """Names a hook and, by the beginning of its hash, its text."""
    return f"hook {name} (sha256 {hashlib.sha256(lines.encode()).hexdigest()[:16]})"


def _base(languages: list[Dependency]) -> tuple[str, list[Dependency]]:
    """The image to begin with, and the languages it lacks."""
    if not languages:
        return DEFAULT_IMAGE, []
    first, *added = languages
    with_python = any(each.name == "python" for each in added)
    name = (_BASES_OF_RELEASE if with_python else _BASES)[first.name]
    return name.format(first.version), added


def _language(wanted: Dependency, base: str) -> Step:
    version = wanted.version
    source = _SOURCES[wanted.name].format(version)
    title = f"{wanted} of {source}"
    if wanted.name == "node":
        paths = ("/usr/local/bin/node", "/usr/local/include/node", "/usr/local/lib/node_modules")
        return Step(title, scripts.node(version), source=source, paths=paths)
    if wanted.name == "go":
        return Step(title, scripts.go(version), source=source, paths=("/usr/local/go",))
    if "." not in version:
        raise UsageError(
            f"{wanted} is to be added to {base}, and has no minor version",
            remedy="Write it as in python@3.12, or put it first: the first language picks the base.",
        )
    minor = ".".join(version.split(".")[:2])
    library = f"/usr/local/lib/libpython{minor}.so.1.0"
    files = (
        f"/usr/local/bin/python{minor}", f"/usr/local/include/python{minor}",
        f"/usr/local/lib/python{minor}", library,
    )  # fmt: skip
    return Step(title, scripts.python(version, minor, RELEASE), source=source, paths=files)


def _words(packages: list[Dependency], between: str = "@") -> tuple[str, ...]:
    """As the package's own tool takes them. The order in which they were written changes nothing."""
    return tuple(sorted(f"{p.name}{between}{p.version}" if p.version else p.name for p in packages))
