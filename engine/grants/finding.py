"""Where a provider's value usually is on this machine: environment variables, the service's own tool."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

import msgspec

from engine.errors import GrantError
from engine.grants.table import Provider, Source
from engine.grants.tokens import check_token

_COMMAND_TIMEOUT = 10.0  # seconds


class FoundToken(msgspec.Struct, frozen=True):
    """source: for people, e.g. `GITHUB_TOKEN` or `gh auth token`."""

    value: str
    source: str

    def __repr__(self) -> str:
        return f"FoundToken(value='[REDACTED]', source={self.source!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("value", "[REDACTED]"), ("source", self.source)]


def find_token(
    provider: Provider, environ: Mapping[str, str] = os.environ, *, timeout: float = _COMMAND_TIMEOUT
) -> FoundToken | None:
    """The first value found, checked; None when every source is empty, absent or fails.

    Blocking: a command may take `timeout` seconds. Raises GrantError naming the source of an unusable value.
    """
    for source in provider.sources:
        text = environ.get(source.env, "") if source.env else _printed(source, environ, timeout)
        if not text.strip():
            continue
        try:
            return FoundToken(check_token(text), str(source))
        except GrantError as error:
            raise GrantError(f"{source}: {error.what}", remedy=error.remedy) from None
    return None


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
