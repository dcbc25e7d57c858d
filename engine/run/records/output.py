"""The agent's output: passed on byte for byte at once, then kept line by line in log and audit.

The two streams are split into lines apart, so that a half line of one never lands in the other.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable

# A program may print for ever without a line end; a longer line is kept in pieces of this many characters.
MAX_LINE = 16 * 1024


class LineSplitter:
    """Bytes in, whole lines out, as text without line ends. Invalid UTF-8 becomes U+FFFD.

    mask: applied before a long line is cut, so that no value is cut in two and missed. hold: the length of
    the longest value; so much of an unfinished line is held back, since a value may have begun there.
    """

    def __init__(self, mask: Callable[[str], str] = str, hold: int = 0) -> None:
        self._mask = mask
        self.hold = hold
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending = ""

    def hide(self, mask: Callable[[str], str], hold: int) -> None:
        """Mask what comes from now on so, and what is held back too."""
        self._mask, self.hold = mask, hold

    def feed(self, data: bytes) -> list[str]:
        return self._split(self._pending + self._decoder.decode(data))

    def finish(self) -> list[str]:
        """What is left when the stream ends without a line end."""
        rest = self._pending + self._decoder.decode(b"", final=True)
        self._pending = ""
        return [*self._split(rest + "\n")] if rest else []

    def _split(self, text: str) -> list[str]:
        # Only \n ends a line: str.splitlines would also break at form feeds and U+2028.
        *whole, self._pending = text.split("\n")
        lines = [piece for line in whole for piece in _pieces(self._mask(line.removesuffix("\r")))]
        if len(self._pending) >= MAX_LINE + self.hold:
            self._pending = self._mask(self._pending)
            cut = (len(self._pending) - self.hold) // MAX_LINE * MAX_LINE
            if cut > 0:
                lines += _pieces(self._pending[:cut])
                self._pending = self._pending[cut:]
        return lines


def _pieces(line: str) -> Iterable[str]:
    if len(line) <= MAX_LINE:
        return (line,)
    return tuple(line[start : start + MAX_LINE] for start in range(0, len(line), MAX_LINE))
