"""What the names of a workspace's files say about them. Pure.

Paths are relative to the workspace, with slashes; bytes that are no UTF-8 stand in them as surrogates.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase, translate
from functools import cache

_SECRET = (
    ".env*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "*.age",
    "id_*", ".npmrc", ".yarnrc*", ".pypirc", ".netrc", "_netrc", ".git-credentials", ".htpasswd", ".pgpass",
    "*credentials*", "secret*", "*.secret", "*.secrets", "*.tfstate*", "*.tfvars", ".dockercfg", "kubeconfig",
    "*service-account*.json", "*service_account*.json",
)  # fmt: skip
_SECRET_PATHS = (".docker/config.json", ".kube/config", ".config/gh/hosts.yml")

# Other people's code and what a build makes: looked at last, so that it does not use up the limits, and
# without keeping what is in it.
_LAST = frozenset(
    {"node_modules", ".venv", "venv", "site-packages", "__pycache__", ".tox", ".nox", ".mypy_cache",
     ".ruff_cache", ".pytest_cache", ".gradle", ".next", ".cache", "bower_components", "target", "Pods"}
)  # fmt: skip

_HOOK = "git runs it on the machine of whoever works there"
_SETTINGS = "git reads it on the machine of whoever works there; it can name programs"
_EDITOR = "an editor may run what it names"
_ENTERED = "some shells run it for whoever enters the directory"
_RUN_LATER = (
    (".git/hooks/*", _HOOK),
    (".git/modules/*/hooks/*", _HOOK),
    (".husky/*", _HOOK),
    (".githooks/*", _HOOK),
    (".git/config", _SETTINGS),
    (".git/config.worktree", _SETTINGS),
    (".git/commondir", _SETTINGS),
    (".git/info/attributes", _SETTINGS),
    (".git/modules/*/config", _SETTINGS),
    (".git/worktrees/*", _SETTINGS),
    (".git", _SETTINGS),
    (".gitattributes", _SETTINGS),
    (".gitmodules", _SETTINGS),
    (".gitconfig", _SETTINGS),
    ("agent.yaml", "it asks for what the next run is given"),
    (".envrc", _ENTERED),
    (".mise.toml", _ENTERED),
    (".vscode/*", _EDITOR),
    (".idea/*", _EDITOR),
    (".devcontainer/*", _EDITOR),
    (".github/workflows/*", "the forge runs it, with its own secrets"),
    (".github/actions/*", "the forge runs it, with its own secrets"),
    (".gitlab-ci.yml", "the forge runs it, with its own secrets"),
    (".pre-commit-config.yaml", "it names what is run at every commit"),
    ("CLAUDE.md", "the next agent obeys it"),
    ("AGENTS.md", "the next agent obeys it"),
    (".claude/*", "the next agent obeys it"),
)


# One search for all forms: nearly every path is none of them. Made when there is a path to look at, for a
# run begins before there is.
@cache
def _secret_name() -> re.Pattern[str]:
    return re.compile("|".join(map(translate, _SECRET)))


@cache
def _run_later() -> re.Pattern[str]:
    return re.compile("|".join(translate(form) for name, _ in _RUN_LATER for form in (name, f"*/{name}")))


def is_secret(path: str) -> bool:
    """Whether a file of this name often holds a secret: it is told apart, and never copied."""
    lowered = path.lower()
    name = lowered.rpartition("/")[2]
    return _secret_name().match(name) is not None or any(
        lowered == place or lowered.endswith("/" + place) for place in _SECRET_PATHS
    )


def is_last(path: str) -> bool:
    """Whether it lies in a folder that is looked at after all others."""
    return not _LAST.isdisjoint(path.split("/"))


def is_git(path: str) -> bool:
    return path == ".git" or path.startswith(".git/") or "/.git/" in path or path.endswith("/.git")


def is_object_store(path: str) -> bool:
    """Git's packed history: hashes over hashes, of which the names say nothing."""
    folders = path.split("/")
    return any(
        name == ".git" and folders[place + 1] in ("objects", "lfs") for place, name in enumerate(folders[:-1])
    ) or (is_git(path) and folders[-1] == "objects")


def runs_later(path: str) -> str:
    """Why a change of this file may act on somebody's machine without their doing; "" when it does not."""
    if path.startswith(".git/hooks/") and path.endswith(".sample"):
        return ""
    if _run_later().match(path) is None:
        return ""
    for form, why in _RUN_LATER:
        if fnmatchcase(path, form) or fnmatchcase(path, "*/" + form):
            return why
    return ""
