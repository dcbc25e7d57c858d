"""A git remote as a witness: every head is a commit there, and its host keeps the time and the history.

Works with whatever credentials the person's own git has. The clone is kept in the installation's tree, so
that only news travel.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

from engine.anchors.directory import write_head
from engine.anchors.head import Anchored, AnchorFailed, Head, Kind

BRANCH = "moat-heads"
_TRIES = 3  # several installations may push to one remote
_TIMEOUT = 60.0
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "user.name": "moat",
    "user.email": "moat@localhost",
    "commit.gpgSign": "false",
    "gc.auto": "0",
}


class GitWitness:
    kind: Kind = "git"

    def __init__(self, remote: str, clone: Path) -> None:
        """clone: a directory of ours for it; its parent exists."""
        self.place = remote
        self._clone = clone

    async def anchor(self, head: Head, before: Anchored) -> str:
        return await asyncio.to_thread(self._push, head)

    def _push(self, head: Head) -> str:
        if not (self._clone / ".git").is_dir():
            self._clone.mkdir(mode=0o700, exist_ok=True)
            self._git("init", "--quiet", "--initial-branch", BRANCH)
        for _ in range(_TRIES):
            self._take_up()
            write_head(self._clone, head)
            self._git("add", "--all")
            if self._git("status", "--porcelain"):
                self._git(
                    "commit", "--quiet", "-m", f"{head.checkpoint.origin}: {head.checkpoint.size} entries"
                )
            pushed = self._run("push", "--quiet", "--", self.place, f"HEAD:refs/heads/{BRANCH}")
            if pushed.returncode == 0:
                commit = self._git("rev-parse", "HEAD").strip()
                return f"commit {commit}\n\n{head.note}"
        raise _failed(self.place, pushed)

    def _take_up(self) -> None:
        """Begin where the remote is; what an earlier try left here is nobody's history."""
        fetched = self._run("fetch", "--quiet", "--no-tags", "--", self.place, f"refs/heads/{BRANCH}")
        if fetched.returncode == 0:
            self._git("reset", "--quiet", "--hard", "FETCH_HEAD")
        elif "couldn't find remote ref" not in fetched.stderr:
            raise _failed(self.place, fetched)

    def _git(self, *words: str) -> str:
        done = self._run(*words)
        if done.returncode != 0:
            raise _failed(self.place, done)
        return done.stdout

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        # Nobody is there to be asked, nor on a screen: an empty GIT_ASKPASS keeps SSH_ASKPASS out too.
        environ |= {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            "LC_ALL": "C",
        }
        try:
            return subprocess.run(
                ["git", *settings, *words],
                cwd=self._clone,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
                check=False,
            )
        except FileNotFoundError as error:
            raise AnchorFailed("git is not installed", remedy="Install it, or remove the witness.") from error
        except subprocess.TimeoutExpired as error:
            raise AnchorFailed(f"git {words[0]} did not end within {_TIMEOUT:g} s") from error


def _failed(place: str, done: subprocess.CompletedProcess[str]) -> AnchorFailed:
    lines = done.stderr.strip().splitlines() or ["git said nothing"]
    return AnchorFailed(f"{place}: {lines[-1][:200]}")
