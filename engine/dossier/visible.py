"""Making the text of agents and services safe to read on a page: none hidden, none reordered. Pure."""

from __future__ import annotations

import re

# C0, DEL, C1; soft hyphen; marks and overrides of direction, zero-width and separators; BOM; annotation
# marks; surrogates; tag characters. ZWJ, ZWNJ and variation selectors stay: several scripts need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """`text` on one line; ESC is `␛`, a newline `␊`, an override of direction `<U+202E>`."""
    return _UNSAFE.sub(_symbol, text) if _UNSAFE.search(text) else text


def cut(text: str, most: int) -> str:
    """At most `most` characters, and how many more there are."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def _symbol(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return "\u2421" if code == 0x7F else f"<U+{code:04X}>"
