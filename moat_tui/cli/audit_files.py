"""What the audit commands share: proof files read and written, a bar while one waits, the verdict printed."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import engine
from moat_tui.cli import output
from moat_tui.cli.errors import USAGE, write_stderr

MOST_BYTES = 1 << 30  # of a bundle; a million entries are a third of it
_PATIENCE = 0.5  # seconds before a bar is worth showing
_EVERY = 0.1
_WIDTH = 30


def read_proof(file: str) -> bytes:
    """The bytes of a proof file, `-` for stdin. Raises MoatError; its exit code is that of a usage error."""
    try:
        with sys.stdin.buffer if file == "-" else open(file, "rb") as source:
            data = source.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise unreadable(
                engine.MoatError(
                    f"{file} is larger than {MOST_BYTES >> 20} MiB: that is no proof bundle of one run",
                    remedy="Name a file that `moat audit RUN --export FILE` wrote.",
                )
            )
    except OSError as error:
        raise unreadable(
            engine.MoatError(f"{file}: {error.strerror}", remedy="Name a readable proof bundle.")
        ) from error
    return data


def unreadable(error: engine.MoatError) -> engine.MoatError:
    """`error` with the exit code that FORMAT.md gives to what cannot be read."""
    error.exit_code = USAGE
    return error


def tell(verdict: engine.Verdict, title: str, *, as_json: bool) -> int:
    """Print the verdict and return its exit code: 0 it holds, 1 it does not, 2 nobody vouches for it."""
    if as_json:
        output.write(output.json_page(engine.verdict_json(verdict)))
    else:
        for text in engine.render_verdict(verdict, title):
            output.line(text)
    return verdict.exit_code


class Bar:
    """A progress callback that draws on a terminal's stderr, once it takes long enough to wonder."""

    def __init__(self) -> None:
        self._terminal = output.is_terminal(2)
        self._began = self._drawn = time.monotonic()
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._terminal or now - self._began < _PATIENCE or now - self._drawn < _EVERY:
            return
        self._drawn, self._shown = now, True
        full = _WIDTH * done // max(total, 1)
        write_stderr(f"\rverifying [{'#' * full}{'.' * (_WIDTH - full)}] {done:,} of {total:,} entries")

    def done(self) -> None:
        if self._shown:
            write_stderr("\r\x1b[K")


def write_whole(name: str, data: bytes) -> None:
    """`data` in the file `name`, whole or not at all; raises MoatError with the system's reason."""
    path = Path(name)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a pipe or a device: there is nothing to keep whole
            return
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise engine.MoatError(
            f"{name} could not be written: {error.strerror}",
            remedy="Name a file in a directory you can write to.",
        ) from error
