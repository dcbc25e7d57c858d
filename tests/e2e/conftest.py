"""Moat as a person uses it: the installed command, a home of its own, an upstream on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.github import GitHub

TOOLS_IMAGE = "moat-base:bookworm"
# Nothing but the encrypted store may ever hold this.
CANARY = "ghp_CanaryThatMustNeverBeSeen0123456789ab"


class Moat:
    """One home, and the command line on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MOAT_")},
            "MOAT_HOME": str(home),
            "MOAT_KEYRING_BACKEND": "file",
        }
        for name in ("GITHUB_TOKEN", "GH_TOKEN"):
            self.env.pop(name, None)

    def command(self, *args: object) -> list[str]:
        if args[:1] == ("run",) and "bubblewrap" not in args:
            # The official slim image, where a registry gives it, has no curl, git or python3.
            args = ("run", "--image", TOOLS_IMAGE, *args[1:])
        return [sys.executable, "-P", "-m", "moat_tui", *map(str, args)]

    def __call__(
        self, *args: object, given: bytes = b"", check: bool = True, **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run to the end; with `check`, fail the test with what it said when it fails."""
        done = subprocess.run(
            self.command(*args),
            input=given,
            capture_output=True,
            env=self.env | env,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"moat {args} ended with {done.returncode}:\n{done.stderr.decode()}")
        return done

    def start(self, *args: object, **more: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env, **more
        )

    def json(self, *args: object, check: bool = True) -> object:
        return json.loads(self(*args, "--json", check=check).stdout)

    def runs(self) -> list[dict]:
        return self.json("list")

    def run_named(self, name: str) -> dict:
        return next(run for run in self.runs() if run["name"] == name)

    def requests(self, name: str) -> list[dict]:
        return [json.loads(line) for line in self("trace", name, "--json").stdout.splitlines()]

    def entries(self, name: str) -> list[dict]:
        """The audit entries, from an exported proof bundle."""
        file = self.home.parent / f"{name}-proof.json"
        self("audit", name, "--export", file)
        return json.loads(file.read_bytes())["entries"]

    def grant(self, token: str = CANARY) -> None:
        self("grant", "github", "--stdin", "--no-validate", given=token.encode())

    def files_with(self, needle: str) -> list[Path]:
        return [p for p in self.home.rglob("*") if p.is_file() and needle.encode() in p.read_bytes()]

    def close(self) -> None:
        """Whatever a failed test left is stopped and removed."""
        for run in self.runs():
            if run.get("state") in ("running", "starting", "stopping"):
                self("stop", "--kill", run["id"], check=False)
        self("clean", check=False)


@pytest.fixture
def moat(tmp_path):
    moat = Moat(tmp_path / "home")
    yield moat
    moat.close()


@pytest.fixture(scope="session")
def github(tmp_path_factory):
    service = GitHub(tmp_path_factory.mktemp("github"), CANARY)
    yield service
    service.close()


@pytest.fixture
def workspace(tmp_path):
    path = tmp_path / "workspace"
    path.mkdir()
    return path


def wait_until(what, timeout: float = 60.0):
    """Poll another process's doing; returns the first true answer."""
    deadline = time.monotonic() + timeout
    while not (answer := what()):
        if time.monotonic() > deadline:
            pytest.fail(f"it did not come to that within {timeout:g} s")
        time.sleep(0.02)
    return answer


def docker(*args: str) -> str:
    assert shutil.which("docker")
    return subprocess.run(["docker", *args], capture_output=True, text=True, check=True, timeout=60).stdout


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
