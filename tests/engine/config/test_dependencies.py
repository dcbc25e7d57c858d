"""Each word of `dependencies`: what it asks for, or why it is refused."""

from __future__ import annotations

import pytest

from engine.config.dependencies import Dependency, check_dependencies, parse_dependency
from engine.errors import UsageError


@pytest.mark.parametrize(
    ("text", "kind", "name", "version"),
    [
        ("node@20", "language", "node", "20"),
        ("python@3.12", "language", "python", "3.12"),
        ("go@1.22.3", "language", "go", "1.22.3"),
        ("postgres@17", "service", "postgres", "17"),
        ("redis@7", "service", "redis", "7"),
        ("mysql@8", "service", "mysql", "8"),
        ("docker:host", "docker", "host", ""),
        ("docker:dind", "docker", "dind", ""),
        ("npm:eslint", "npm", "eslint", ""),
        ("npm:@scope/cli@1.2.3", "npm", "@scope/cli", "1.2.3"),
        ("npm:@scope/cli", "npm", "@scope/cli", ""),
        ("pip:ruff@0.6.1", "pip", "ruff", "0.6.1"),
        ("ripgrep", "package", "ripgrep", ""),
        ("g++", "package", "g++", ""),
    ],
)
def test_a_word_is_what_it_says(text: str, kind: str, name: str, version: str) -> None:
    dependency = parse_dependency(text)
    assert (dependency.kind, dependency.name, dependency.version) == (kind, name, version)
    assert str(dependency) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("node", "node@20"),
        ("node@", "node@20"),
        ("node@latest", "node@20"),
        ("node@20; rm -rf /", "node@20"),
        ("postgres@-1", "postgres@17"),
        ("nod@20", "Did you mean 'node'?"),
        ("docker:dindd", "Did you mean 'docker:dind'?"),
        ("docker:", "docker:host or docker:dind"),
        ("--reinstall", "such as node@20"),
        ("rip grep", "such as node@20"),
        ("ripgrep@1", "take a version"),
        ("npm:-g", "npm:NAME"),
        ("npm:../x", "npm:NAME"),
        ("npm:a@--x", "npm:NAME"),
        ("pip:-r", "pip:NAME"),
        ("pip:ruff@", "pip:NAME"),
        ("pip:https://evil.test/x", "pip:NAME"),
        ("cargo:x", "such as node@20"),
        ("", "such as node@20"),
    ],
)
def test_what_is_no_dependency_is_refused_with_a_remedy(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_dependency(text)
    assert words in " ".join(caught.value.lines())
    assert caught.value.remedy


@pytest.mark.parametrize(
    "texts", [("node@20", "node@22"), ("docker:host", "docker:dind"), ("pip:a@1", "pip:a")]
)
def test_what_excludes_each_other_is_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        check_dependencies(map(parse_dependency, texts))


def test_what_goes_together_is_taken() -> None:
    check_dependencies(map(parse_dependency, ("node@20", "python@3.12", "npm:a", "pip:a", "docker:dind")))
    assert Dependency("package", "git") == parse_dependency("git")
