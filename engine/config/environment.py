"""Which environment variables a person may give to the agent.

The variables that lead the agent to the run's proxy are Moat's own: one that points elsewhere would make
every request fail in `strict`, and go round policy, injection and audit in `permissive`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.errors import UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Any spelling and tool prefix: http_proxy, npm_config_https_proxy, CARGO_HTTP_PROXY, NODE_USE_ENV_PROXY.
_PROXY = re.compile(
    r"(.*_)?(HTTP|HTTPS|ALL|NO|FTP|SOCKS|SOCKS5|WS|WSS|RSYNC)_PROXY"
    r"|NPM_CONFIG_(PROXY|NOPROXY)|PIP_PROXY|NODE_USE_ENV_PROXY",
    re.IGNORECASE,
)


def check_env(env: Mapping[str, str], where: str) -> None:
    """Raises UsageError for the first variable that cannot be set. where: e.g. `-e`.

    Only names appear in the message, never values.
    """
    for name, value in env.items():
        if problem := env_problem(name, value):
            raise UsageError(f"{where}: {problem[0]}", remedy=problem[1])


def parse_env_pair(text: str, where: str = "-e") -> tuple[str, str]:
    """`NAME=VALUE` split and checked. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals:  # the text may be a bare value, so it is not quoted
        raise UsageError(f"{where}: expected NAME=VALUE, found no '='")
    check_env({name: value}, where)
    return name, value


def env_problem(name: str, value: str) -> tuple[str, str] | None:
    """What is wrong and the remedy, or None."""
    if not _NAME.fullmatch(name):
        shown = repr(name[:40])
        return f"expected a variable name (letters, digits, _), found {shown}", ""
    if _PROXY.fullmatch(name):
        return (
            f"{name} is reserved: it would lead the agent round Moat's proxy",
            "Remove it; to let the agent reach a host, use network.allow or --allow-host.",
        )
    if name.upper().startswith("MOAT_"):
        return f"{name} is reserved: names that start with MOAT_ are Moat's own", "Choose another name."
    if "\0" in value:
        return f"{name}: expected text, found a NUL character in the value", ""
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{name}: expected UTF-8 text, found other bytes in the value", ""
    return None
