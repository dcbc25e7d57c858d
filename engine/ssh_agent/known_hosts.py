"""A host's pinned keys, as the person's own OpenSSH knows them.

ssh-keygen reads known_hosts, because hashed names, patterns and revocations are its to judge.
"""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from engine.errors import GrantError
from engine.ssh_agent.keys import key_type
from engine.ssh_agent.wire import Malformed

FILES = (Path("~/.ssh/known_hosts"), Path("~/.ssh/known_hosts2"), Path("/etc/ssh/ssh_known_hosts"))
_TIMEOUT = 10.0  # seconds for ssh-keygen
_SCAN = 15  # seconds for ssh-keyscan
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:-]{0,253}[A-Za-z0-9])?")


def host_name(text: str) -> tuple[str, int]:
    """`HOST` or `HOST:PORT` as (lower-case host, port). Raises GrantError for what is neither."""
    host, _, port = (
        text.strip().lower().rpartition(":") if text.count(":") == 1 else (text.strip().lower(), "", "22")
    )
    if not _NAME.fullmatch(host) or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise GrantError(f"not an SSH host: {text[:80]!r}", remedy="Write HOST or HOST:PORT.")
    return host, int(port)


def pinned_keys(host: str, port: int = 22, files: Iterable[Path] = FILES) -> frozenset[bytes]:
    """The key blobs that known_hosts holds for `host`; empty when it holds none.

    Revoked keys and certificate authorities are left out. Raises GrantError when ssh-keygen is missing.
    """
    wanted = host if port == 22 else f"[{host}]:{port}"
    found: set[bytes] = set()
    revoked: set[bytes] = set()
    for file in files:
        path = file.expanduser()
        if not path.is_file():
            continue
        for line in _run(["ssh-keygen", "-F", wanted, "-f", str(path)], _TIMEOUT).splitlines():
            if line.startswith("#") or line.startswith("@cert-authority"):
                continue
            blob = _blob(line.removeprefix("@revoked").split())
            if blob:
                (revoked if line.startswith("@revoked") else found).add(blob)
    return frozenset(found - revoked)


def scanned_keys(host: str, port: int = 22) -> frozenset[bytes]:
    """What the host at that address shows now, unverified: for a person to compare and confirm.

    Raises GrantError when it cannot be reached.
    """
    command = ["ssh-keyscan", "-T", str(_SCAN), "-p", str(port), "--", host]
    blobs = {_blob(line.split()) for line in _run(command, _SCAN * 3.0).splitlines() if line[:1] != "#"}
    keys = frozenset(blob for blob in blobs if blob)
    if not keys:
        raise GrantError(
            f"no SSH server answered at {host}, port {port}",
            remedy=f"Check the name; or connect once with `ssh {host}`, and grant it again.",
        )
    return keys


def _blob(fields: list[str]) -> bytes:
    """The key of `NAMES TYPE BASE64 …`; empty when the line is no such thing."""
    if len(fields) < 3:
        return b""
    try:
        blob = base64.b64decode(fields[2], validate=True)
        return blob if key_type(blob) == fields[1] else b""
    except (binascii.Error, ValueError, Malformed):
        return b""


def _run(command: list[str], timeout: float) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GrantError(
            f"{command[0]} could not be run",
            detail=str(error),
            remedy="Install the OpenSSH client (openssh-client).",
        ) from error
    return done.stdout
