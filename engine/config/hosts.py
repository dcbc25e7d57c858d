"""Host patterns as people write them: `host`, `*.host`, each with or without `:port`.

`*.example.com` stands for one or more labels before `.example.com`, not for `example.com` itself. The
result is lower case without a trailing dot, so that what is compared later is what was checked here.
"""

from __future__ import annotations

import re

import msgspec

from engine.config.values import Value, shown
from engine.errors import UsageError

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")


class HostPattern(msgspec.Struct, frozen=True):
    """port is 0 when none was written."""

    host: str
    port: int = 0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


def parse_host_pattern(text: str) -> HostPattern:
    """Raises UsageError saying what was expected. An IP address in any spelling is not a host name."""
    expected = f"expected a host name, *.name or name:port, found {shown(text)}"
    if "/" in text or "@" in text or "?" in text:
        raise UsageError(expected, remedy="Write the host only: no scheme, user or path.")
    if not text.isascii():
        raise UsageError(expected, remedy="Write an international name in its xn-- form.")
    if text.startswith("[") or text.count(":") > 1:
        raise UsageError(expected, remedy="An address cannot be allowed here; write the host's name.")
    host, colon, port = text.lower().partition(":")
    if colon and not (re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) <= 65535):
        raise UsageError(expected, remedy="The port is a number from 1 to 65535.")
    if host == "*":
        raise UsageError(expected, remedy="To allow every host, set the policy to permissive.")
    host = host.removesuffix(".")
    labels = host.removeprefix("*.").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UsageError(expected, remedy="A * stands only for whole labels in front: *.example.com.")
    if _NUMERIC.fullmatch(labels[-1]):
        # 127.0.0.1, 0x7f.1, 2130706433: every resolver that ends in a number reads an address.
        raise UsageError(expected, remedy="An address cannot be allowed here; write the host's name.")
    return HostPattern(host, int(port) if port else 0)


def host_patterns(value: Value) -> tuple[str, ...]:
    """A list of hosts, `*.host`, each with or without a port; normalised."""
    patterns: list[str] = []
    for item in value.items("host names"):
        try:
            patterns.append(str(parse_host_pattern(item.text("a host name, *.name or name:port"))))
        except UsageError as error:
            raise item.explained(error) from None
    return tuple(patterns)
