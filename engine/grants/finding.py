"""Where a provider's value usually is on this machine: environment variables, the service's own tool."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from engine.errors import GrantError
from engine.events import timestamp
from engine.grants import npm
from engine.grants.table import Provider, Source
from engine.grants.tokens import check_token

_LARGEST_FILE = 1024 * 1024  # bytes
_COMMAND_TIMEOUT = 10.0  # seconds


class FoundToken(msgspec.Struct, frozen=True):
    """source: for people, e.g. `GITHUB_TOKEN` or `gh auth token`. refresh_token, expires_at (RFC 3339 UTC):
    where the source has them.
    """

    value: str
    source: str
    refresh_token: str = ""
    expires_at: str = ""

    def __repr__(self) -> str:
        return f"FoundToken(value='[REDACTED]', source={self.source!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("value", "[REDACTED]"), ("source", self.source)]


def find_token(
    provider: Provider,
    environ: Mapping[str, str] = os.environ,
    *,
    files: bool = True,
    timeout: float = _COMMAND_TIMEOUT,
) -> FoundToken | None:
    """The first value found, checked; None when every source is empty, absent or fails.

    files: whether the files of other programs are looked into.

    Blocking: a command may take `timeout` seconds. Raises GrantError naming the source of an unusable value.
    """
    if provider.name == npm.NAME:
        found = npm.find(environ)
        return FoundToken(*found) if found else None
    for source in provider.sources:
        document = _document(source, environ) if source.file and files else None
        if source.file:
            text = _text(document, source.field)
        else:
            text = environ.get(source.env, "") if source.env else _printed(source, environ, timeout)
        if not text.strip():
            continue
        try:
            refresh = _text(document, source.refresh) if source.refresh else ""
            expires = _moment(_at(document, source.expires)) if source.expires else ""
            refresh = check_token(refresh) if refresh.strip() else ""
            return FoundToken(check_token(text), str(source), refresh, expires)
        except GrantError as error:
            raise GrantError(f"{source}: {error.what}", remedy=error.remedy) from None
    return None


def _document(source: Source, environ: Mapping[str, str]) -> object:
    """The JSON of the file, None when there is none."""
    name = source.file
    path = Path(environ.get("HOME") or Path.home()) / name[2:] if name.startswith("~/") else Path(name)
    try:
        return msgspec.json.decode(path.read_bytes()[:_LARGEST_FILE])
    except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _at(document: object, path: str) -> object:
    for part in path.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def _text(document: object, path: str) -> str:
    found = _at(document, path)
    return found if isinstance(found, str) else ""


def _moment(found: object) -> str:
    """Milliseconds since 1970 or RFC 3339 as our own timestamp, "" for what is neither."""
    try:
        if isinstance(found, str):
            moment = datetime.fromisoformat(found)
            return timestamp(moment) if moment.tzinfo else ""
        if isinstance(found, int | float) and not isinstance(found, bool):
            return timestamp(datetime.fromtimestamp(found / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        pass
    return ""


def _printed(source: Source, environ: Mapping[str, str], timeout: float) -> str:
    """What the command prints, "" when it is not there, fails or takes too long."""
    import subprocess  # here, because most who read the table run no command

    program = shutil.which(source.command[0], path=environ.get("PATH", os.defpath))
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *source.command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
