"""A person's git repository for tests, and settings that would run a program if git obeyed them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_ENVIRON = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent", "LC_ALL": "C"}


class Repository:
    """Made with one commit on `main`. Call it to run git there; `ok=False` lets it fail."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        subprocess.run(["git", "init", "-q", "-b", "main", *options, path], env=_ENVIRON, check=True)
        if "--bare" not in options:
            self("config", "user.name", "Person")
            self("config", "user.email", "person@example.com")
            self.commit("one", **{"a.txt": "one\n", ".gitignore": "*.o\n"})

    def __call__(self, *words: str, ok: bool = True, given: str | None = None) -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=self.path,
            env=_ENVIRON,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not ok, done.stderr
        return done.stdout.strip()

    def commit(self, message: str, **files: str) -> str:
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text)
        self("add", "--all")
        self("commit", "-q", "--allow-empty", "-m", message)
        return self("rev-parse", "HEAD")

    def tip(self, name: str) -> str:
        return self("rev-parse", "-q", "--verify", name, ok=False)


class Agents(Repository):
    """What an agent does in the tree of a worktree: git as it is there."""

    def __init__(self, path: Path) -> None:
        self.path = path


HOOKS = (
    "reference-transaction", "post-checkout", "post-index-change", "pre-commit", "post-commit", "post-update",
    "update", "pre-receive", "post-receive", "post-merge", "post-rewrite", "pre-auto-gc",
    "fsmonitor-watchman", "proc-receive", "push-to-checkout", "pre-push",
)  # fmt: skip


def trap(git: Path, marker: Path) -> None:
    """Make whatever in a .git directory can name a program name one that touches `marker`."""
    evil = marker.with_name(f"evil-{marker.name}.sh")
    evil.write_text(f"#!/bin/sh\ntouch {marker}\nexit 1\n")
    evil.chmod(0o755)
    (git / "hooks").mkdir(exist_ok=True)
    for name in HOOKS:
        hook = git / "hooks" / name
        hook.unlink(missing_ok=True)
        hook.write_text(evil.read_text())
        hook.chmod(0o755)
    settings = f"""
[core]
    hooksPath = {git}/hooks
    fsmonitor = {evil}
    alternateRefsCommand = {evil}
    sshCommand = {evil}
    gitProxy = {evil}
    askPass = {evil}
    pager = {evil}
    editor = {evil}
    attributesFile = {git}/info/attributes
[pager]
    status = {evil}
    rev-list = {evil}
[credential]
    helper = !{evil}
[gpg]
    program = {evil}
[diff]
    external = {evil}
[diff "evil"]
    textconv = {evil}
    command = {evil}
[filter "evil"]
    clean = {evil}
    smudge = {evil}
    process = {evil}
    required = true
[merge "evil"]
    driver = {evil}
[uploadpack]
    packObjectsHook = {evil}
[protocol]
    allow = always
[protocol "ext"]
    allow = always
[extensions]
    partialClone = evil
[remote "evil"]
    url = ext::{evil}
    promisor = true
    uploadpack = {evil}
    receivepack = {evil}
[url "ext::{evil} "]
    insteadOf = /
[submodule "sub"]
    update = !{evil}
[submodule]
    recurse = true
[status]
    submoduleSummary = true
[gc]
    auto = 1
[alias]
    status = !{evil}
    rev-parse = !{evil}
"""
    with (git / "config").open("a") as file:
        file.write(settings)
    (git / "info").mkdir(exist_ok=True)
    (git / "info" / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
