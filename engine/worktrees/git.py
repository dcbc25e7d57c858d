"""Running git so that it executes nothing that a repository names.

Who works in a repository can write its settings, hooks and attributes, and git obeys them. So the settings
that name programs are overruled, the person's and the system's are not read (a filter of theirs would be
run on what an agent wrote), nothing is fetched from anywhere, and no repository is looked for: each call
names the one it means.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from engine.errors import MoatError, UsageError

QUICK = 60.0  # seconds
LONG = 1800.0  # seconds, for what goes through a whole history
MEMORY = 8 << 30  # bytes: an object of a few bytes may say that it is larger than this machine

_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.alternateRefsCommand": "true",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.untrackedCache": "false",
    "core.pager": "cat",
    "core.askPass": "",
    "core.packedGitLimit": "1g",  # of the memory above
    "core.packedGitWindowSize": "64m",
    "core.sshCommand": "false",
    "core.gitProxy": "false",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.commitGraph": "false",  # what it says of a history need not be so
    "core.multiPackIndex": "false",
    "core.bigFileThreshold": "32m",  # larger ones are passed on in pieces
    "credential.helper": "",
    "diff.external": "",
    "diff.ignoreSubmodules": "all",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "status.submoduleSummary": "false",
    "submodule.recurse": "false",
}
_ENVIRON = {
    "GIT_ALLOW_PROTOCOL": "none",  # a history with holes is not filled from where its settings say
    "GIT_ASKPASS": "",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_EDITOR": "false",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    # What git writes into a reflog, and nothing else, bears it.
    "GIT_AUTHOR_NAME": "Moat",
    "GIT_AUTHOR_EMAIL": "moat@localhost",
    "GIT_COMMITTER_NAME": "Moat",
    "GIT_COMMITTER_EMAIL": "moat@localhost",
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "LC_ALL": "C",
}
_OLDEST = (2, 36)


class GitFailed(MoatError):
    """git said no; `detail` is what it said."""


class Git:
    """On one repository. objects: another store that objects are written to; borrowed: one that is read."""

    def __init__(self, directory: Path, *, objects: Path | None = None, borrowed: Path | None = None) -> None:
        self.directory = directory
        self._more = {"GIT_DIR": str(directory)}
        if objects is not None:
            self._more["GIT_OBJECT_DIRECTORY"] = str(objects)
        if borrowed is not None:
            self._more["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(borrowed)

    def __call__(
        self, *words: str, given: str | bytes | IO[bytes] = b"", timeout: float = QUICK, **environ: str
    ) -> str:
        """What it prints, without the last line's end. Raises GitFailed."""
        done = self.run(*words, given=given, timeout=timeout, **environ)
        if done.returncode != 0:
            raise failed(words[0], done.returncode, done.stderr)
        return done.stdout.decode(errors="surrogateescape").removesuffix("\n")

    def run(
        self, *words: str, given: str | bytes | IO[bytes] = b"", timeout: float = QUICK, **environ: str
    ) -> subprocess.CompletedProcess[bytes]:
        return run(words, self._more | environ, given, timeout)

    def says(self, *words: str) -> bool:
        """Whether it answers with yes (0) rather than no (1)."""
        done = self.run(*words)
        if done.returncode not in (0, 1):
            raise failed(words[0], done.returncode, done.stderr)
        return done.returncode == 0

    def popen(self, *words: str, stdin: IO[bytes], stdout: int, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            _command(words), stdin=stdin, stdout=stdout, stderr=stderr, cwd="/", env=_environ(self._more)
        )


def run(
    words: tuple[str, ...],
    environ: Mapping[str, str],
    given: str | bytes | IO[bytes] = b"",
    timeout: float = QUICK,
    cwd: str = "/",
) -> subprocess.CompletedProcess[bytes]:
    data = given.encode(errors="surrogateescape") if isinstance(given, str) else given
    try:
        if isinstance(data, bytes):
            return subprocess.run(
                _command(words),
                input=data,
                capture_output=True,
                cwd=cwd,
                env=_environ(environ),
                timeout=timeout,
                check=False,
            )
        return subprocess.run(
            _command(words),
            stdin=data,
            capture_output=True,
            cwd=cwd,
            env=_environ(environ),
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GitFailed(f"git {words[0]} did not end within {timeout:g} seconds") from error


def pipe(writer: Git, writing: tuple[str, ...], given: str, reader: Git, reading: tuple[str, ...]) -> None:
    """What `writer` prints is what `reader` reads. given: what the writer reads. Raises GitFailed."""
    with (
        tempfile.TemporaryFile() as wanted,
        tempfile.TemporaryFile() as first_said,
        tempfile.TemporaryFile() as last_said,
    ):
        wanted.write(given.encode())
        wanted.seek(0)
        first = writer.popen(*writing, stdin=wanted, stdout=subprocess.PIPE, stderr=first_said)
        assert first.stdout is not None
        try:
            with first.stdout:
                last = reader.popen(*reading, stdin=first.stdout, stdout=subprocess.DEVNULL, stderr=last_said)
            try:
                last.wait(timeout=LONG)
                first.wait(timeout=QUICK)
            finally:
                last.kill()
                last.wait()
        except subprocess.TimeoutExpired as error:
            raise GitFailed(f"git {writing[0]} did not end within {LONG:g} seconds") from error
        finally:
            first.kill()
            first.wait()
        for process, word, said in ((first, writing[0], first_said), (last, reading[0], last_said)):
            if process.returncode:
                said.seek(0)
                raise failed(word, process.returncode, said.read(1 << 16))


def failed(word: str, code: int, said: bytes) -> GitFailed:
    """git's own first words of complaint, which may quote names of the repository."""
    lines = [line.strip() for line in said.decode(errors="backslashreplace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    return GitFailed(f"git {word} failed", detail=(told[0][:300] if told else f"exit code {code}"))


def require_git() -> None:
    """Raises UsageError when there is no git here, or one that is too old."""
    done = run(("version",), {})
    words = done.stdout.decode(errors="replace").split()
    version = tuple(int(part) for part in words[2].split(".")[:2] if part.isdigit()) if len(words) > 2 else ()
    if version < _OLDEST:
        raise UsageError(
            f"a worktree needs git {'.'.join(map(str, _OLDEST))} or newer; this one says {' '.join(words)}"
        )


def _command(words: tuple[str, ...]) -> list[str]:
    program = shutil.which("git")
    if program is None:
        raise UsageError("a worktree needs git on this machine", remedy="Install it: apt install git")
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    limited = ("/bin/sh", "-c", f'ulimit -v {MEMORY >> 10} 2>/dev/null; exec "$@"', "sh")
    return [*limited, os.path.abspath(program), "--no-pager", *settings, *words]


def _environ(more: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath)} | _ENVIRON | dict(more)
