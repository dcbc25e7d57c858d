"""Where the demo's agent runs: under Docker where an engine answers, else in a sandbox that needs none.

As a program it exits 0 when there is nothing to install for the demo: `make demo` asks it before it readies
the machine, which takes minutes.
"""

from __future__ import annotations

import asyncio
import os
import shutil

import engine

DOCKER, BUBBLEWRAP = "docker", "bubblewrap"
_PATH = "/usr/local/bin:/usr/bin:/bin"  # what a sandbox sees of this machine's programs


def choose() -> str:
    """The runtime that MOAT_RUNTIME names, or the first of the two that is ready; Docker when neither is."""
    named = os.environ.get("MOAT_RUNTIME", "").strip().lower()
    if named:
        return named
    checks = asyncio.run(engine.run_checks(engine.Home.default(), [DOCKER, BUBBLEWRAP]))
    ready = {check.name for check in checks if check.state is engine.CheckState.OK}
    return BUBBLEWRAP if DOCKER not in ready and BUBBLEWRAP in ready and client() else DOCKER


def client() -> str:
    """A command that calls the API from this machine's own programs; "" when there is none."""
    url = "https://api.github.com/user"
    if shutil.which("curl", path=_PATH):
        return f"curl -sS {url}"
    if shutil.which("python3", path=_PATH):
        return f"python3 -c 'import urllib.request as u; print(u.urlopen(\"{url}\").read().decode())'"
    return ""


if __name__ == "__main__":
    raise SystemExit(0 if choose() == BUBBLEWRAP else 1)
