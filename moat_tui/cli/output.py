"""The one place that writes to stdout what a command prints: text, aligned columns, JSON.

What agents and services wrote is untrusted. On its way to a terminal every control character in it is
spelled out, so that it can neither move the cursor nor set a title, a link or the clipboard.
"""

from __future__ import annotations

import codecs
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any

# C0, DEL, C1, and the invisible ones that reorder or break text.
_HOSTILE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_HOSTILE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_COLOUR = re.compile("(\x1b\\[[0-9;:]*m)")
_RESET = "\x1b[0m"
# What Moat itself draws with, for a stdout that can only carry ASCII (LANG=C).
_ASCII = str.maketrans("─—…", "--~")
_LEAST_ELASTIC = 8  # cells that stay of a column that gives way


class SinkError(Exception):
    """stdout could not be written for a reason other than its reader having gone."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def prepare_streams() -> None:
    """Make 0, 1 and 2 open and stdout able to carry any text.

    A closed one (`>&-`) would be handed out again for the next file opened, and what is printed would
    then land in that file: an audit log, at worst.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    for fd, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            # A terminal knows its locale; whoever reads a pipe or a file gets UTF-8, as JSON has to be.
            asked_for = is_terminal(fd) or bool(os.environ.get("PYTHONIOENCODING"))
            stream.reconfigure(encoding=None if asked_for else "utf-8", errors="moat")


def _as_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    """Signs that have an ASCII likeness become it; all else is spelled out, as `backslashreplace` does."""
    spelled, end = codecs.backslashreplace_errors(error)
    if isinstance(error, UnicodeEncodeError):
        likeness = error.object[error.start : end].translate(_ASCII)
        if likeness.isascii():
            return likeness, end
        return "".join(
            sign if sign.isascii() else sign.encode("ascii", "backslashreplace").decode() for sign in likeness
        ), end
    return spelled, end


codecs.register_error("moat", _as_ascii)


def write(text: str) -> None:
    """`text` to stdout, now. Raises BrokenPipeError when nobody reads it, SinkError when it cannot go out."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_stdout()
        raise SinkError(error.strerror or type(error).__name__) from error


def abandon_stdout() -> None:
    """Point stdout nowhere, so that the interpreter's own flush at exit has nothing to complain about."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def line(text: str = "") -> None:
    write(escape(text) + "\n")


def is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def stdout_is_terminal() -> bool:
    return is_terminal(1)


def colours() -> bool:
    return stdout_is_terminal() and not os.environ.get("NO_COLOR")


def escape(text: str) -> str:
    """`text` with every control and direction-changing character spelled out as `\\x1b`, `\\u202e` …"""
    return _HOSTILE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def agent_line(text: str, *, terminal: bool, colour: bool) -> str:
    """One line of an agent's output: as it was when it goes to a file, harmless when to a terminal.

    On a terminal tabs stay, colours (SGR) stay where wanted and end with the line, all else is spelled out.
    """
    if not terminal:
        return text
    pieces = _COLOUR.split(text)
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            pieces[index] = "\t".join(escape(part) for part in piece.split("\t"))
        elif not colour:
            pieces[index] = ""
    return "".join(pieces) + (_RESET if colour and len(pieces) > 1 else "")


def cells(text: str) -> int:
    """How many columns of a terminal `text` takes; `日` takes two."""
    if text.isascii() or text.replace("…", "").isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells, with `…` where something is left out."""
    if cells(text) <= width:
        return text
    kept = text[: max(0, width - 1)]
    while kept and cells(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"


def terminal_width() -> int | None:
    """Cells in a line of the terminal that stdout is; None when it is none: nothing is cut then."""
    return shutil.get_terminal_size().columns if stdout_is_terminal() else None


class Columns:
    """Rows under titles, each column as wide as its widest cell so far; the last one is not padded.

    Widths only grow, so a list that is being followed stays as aligned as what is known allows.
    elastic: the column that gives way first when a row is wider than `width` cells; what is still too
    wide is cut, as ps does. Without a width nothing is cut: that is for whoever reads a pipe.
    """

    def __init__(
        self, *titles: str, right: Iterable[str] = (), elastic: str = "", width: int | None = None
    ) -> None:
        self._titles = titles
        self._right = frozenset(titles.index(title) for title in right)
        self._elastic = titles.index(elastic) if elastic else len(titles) - 1
        self._most = width
        self._widths = [len(title) for title in titles]
        self._titled = False

    def render(self, rows: Sequence[Sequence[str]]) -> str:
        """Text for `rows`, with the titles above the first ones; empty when there are no rows."""
        if not rows:
            return ""
        table = [[escape(cell) for cell in row] for row in rows]
        if not self._titled:
            table.insert(0, list(self._titles))
            self._titled = True
        for row in table:
            self._widths = [max(width, cells(cell)) for width, cell in zip(self._widths, row, strict=True)]
        return "".join(self._row(row) for row in table)

    def _row(self, row: list[str]) -> str:
        widths = self._fitted()
        padded = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            shown = cut(cell, width)
            space = " " * (width - cells(shown))
            padded.append(space + shown if index in self._right else shown + space)
        text = "  ".join(padded).rstrip()
        return (text if self._most is None else cut(text, self._most)) + "\n"

    def _fitted(self) -> list[int]:
        widths = list(self._widths)
        if self._most is not None:
            over = sum(widths) + 2 * (len(widths) - 1) - self._most
            least = max(_LEAST_ELASTIC, len(self._titles[self._elastic]))
            widths[self._elastic] = max(
                min(widths[self._elastic], least), widths[self._elastic] - max(0, over)
            )
        return widths


def plain(value: Any) -> Any:  # noqa: ANN401 - any struct of the engine's
    """A struct as a dict of all its fields, those at their default too: scripts can rely on the keys."""
    if hasattr(value, "__struct_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(item) for name, item in asdict(value).items()}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def json_line(value: object) -> str:
    """`value` as one line of JSON. Characters a terminal could obey are written as \\uXXXX."""
    import msgspec

    return _ascii_controls(msgspec.json.encode(plain(value)).decode()) + "\n"


def json_page(value: object) -> str:
    """`value` as indented JSON."""
    import msgspec

    return _ascii_controls(msgspec.json.format(msgspec.json.encode(plain(value)), indent=2).decode()) + "\n"


def _ascii_controls(text: str) -> str:
    return _HOSTILE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def moment(ts: str) -> datetime | None:
    """RFC 3339 text as an aware time; None when it is not one."""
    try:
        found = datetime.fromisoformat(ts)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def age(ts: str, now: datetime | None = None) -> str:
    """How long ago `ts` was, in its largest unit: `12s`, `5m`, `3h`, `8d`; `-` when unknown."""
    then = moment(ts)
    if then is None:
        return "-"
    seconds = max(0, int(((now or datetime.now(UTC)) - then).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
