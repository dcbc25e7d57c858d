"""Making text from agents, servers and files safe to put on a terminal.

Nothing here removes text: what could act on the terminal or lie about reading order is replaced by a
symbol that can be seen, so that a person always sees that something was there.
"""

from __future__ import annotations

import re

# C0, DEL, C1; soft hyphen; Arabic letter mark, zero-width space, LRM/RLM, line and paragraph separators,
# bidi embeddings, overrides and isolates; word joiner and invisible operators; BOM; annotation marks;
# surrogates (unencodable); tag characters. ZWJ, ZWNJ and variation selectors stay: emoji and several
# scripts need them.
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def _symbol(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"<U+{code:04X}>"


def visible(text: str) -> str:
    """`text` on one line; what is not plain text becomes a symbol (ESC is `␛`, a newline `␊`)."""
    if UNSAFE.search(text) is None:
        return text
    return UNSAFE.sub(_symbol, text)


def visible_lines(text: str, tab: int = 4) -> list[str]:
    """`text` split at its line ends, tabs widened to `tab` columns, each line made `visible`."""
    lines = text.replace("\r\n", "\n").split("\n")
    return [visible(line.expandtabs(tab)) for line in lines]
