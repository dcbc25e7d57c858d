"""Where `grant` takes a credential from: stdin when asked, else what this machine has, else a person."""

from __future__ import annotations

import sys

import engine
from moat_tui.cli.errors import say
from moat_tui.cli.output import is_terminal
from moat_tui.cli.prompts import hidden

_MOST_BYTES = 64 * 1024


def obtain(home: engine.Home, provider: engine.ProviderInfo, *, from_stdin: bool) -> tuple[str, str]:
    """The credential and where it came from: stdin when asked, else what this machine has, else a person."""
    if from_stdin:
        return read_stdin(), "stdin"
    terminal = is_terminal(0)
    found = engine.find_token(home, provider.name, files=not terminal)
    if found is not None:
        return found.value, found.source
    if not terminal:
        tried = f" (tried: {', '.join(provider.sources)})" if provider.sources else ""
        raise engine.MoatError(
            f"no credential for {provider.name} was found here{tried}, and there is no terminal to ask on",
            remedy=f"Set one of these variables, or pipe it in: … | moat grant {provider.name} --stdin",
        )
    _set_up(provider)
    token = hidden(f"{provider.title or provider.name} credential (not shown)").strip()
    if not token and (found := engine.find_token(home, provider.name)) is not None:
        return found.value, found.source
    return check_token(token, "what was typed"), "prompt"


def _set_up(provider: engine.ProviderInfo) -> None:
    """Let the service's own tool make a credential, where it is there; what it prints can then be pasted."""
    import shutil
    import subprocess

    if provider.setup and shutil.which(provider.setup[0]):
        say(f"running {' '.join(provider.setup)}; paste here what it gives you")
        subprocess.run(provider.setup, check=False)


def read_stdin() -> str:
    """The credential on stdin without its one line end."""
    data = sys.stdin.buffer.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise engine.UsageError(f"stdin holds more than {_MOST_BYTES} bytes: that is no credential")
    data = data.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return check_token(data.decode("ascii"), "stdin")
    except UnicodeDecodeError:
        raise engine.UsageError("stdin holds bytes that no credential has") from None


def check_token(token: str, where: str) -> str:
    """`token` when it could be one; an HTTP header could not carry spaces at its ends or line breaks."""
    if not token:
        raise engine.UsageError(f"there is no credential: {where} was empty")
    if not token.isprintable() or token != token.strip() or not token.isascii():
        raise engine.UsageError(
            f"{where} holds line breaks, spaces at an end or characters no credential has"
        )
    return token
