"""Saving what a run printed: all of it, as plain text, to a file that a person names."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.ansi import plain_line
from moat_tui.screen.models.visible import visible
from moat_tui.screen.named_files import file_name, named_path
from moat_tui.screen.problems import report

if TYPE_CHECKING:
    from engine import RunInfo
    from moat_tui.screen.app import MoatApp

AT_ONCE = 5_000  # lines held in memory


async def save_output(app: MoatApp, run: RunInfo) -> None:
    """Ask where, ask again when something is there, and say how it went."""
    from moat_tui.screen.dialogs.confirm import ConfirmDialog
    from moat_tui.screen.dialogs.file_path import FilePathDialog

    typed = await app.push_screen_wait(
        FilePathDialog(
            "Save the output",
            "As plain text, without colours. All of it, also what is no longer on the screen.",
            value=file_name(run.name, "-output.txt"),
            yes="Save",
        )
    )
    if not typed:
        return
    path = named_path(typed)
    try:
        try:
            number = await asyncio.to_thread(write_output, app.face, run.id, path, replace=False)
        except FileExistsError:
            shown = visible(str(path))
            if not await app.push_screen_wait(
                ConfirmDialog("Replace the file?", f"There is already {shown}.", yes="Replace")
            ):
                return
            number = await asyncio.to_thread(write_output, app.face, run.id, path, replace=True)
    except Exception as error:  # a disk that is full, a folder that is not there, a log that is damaged
        report(app, "The output was not saved", error)
        return
    app.notify(f"{number:,} lines saved in {visible(str(path))}.", markup=False)


def write_output(face: EngineFace, run_id: str, path: Path, *, replace: bool) -> int:
    """The number of lines written, to a private file, whole or not at all. Blocking.

    Raises FileExistsError when something has this name and `replace` is not set, else OSError.
    """
    if not replace and os.path.lexists(path):
        raise FileExistsError(path)
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=".moat-output-")  # 0600
    number = 0
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors="replace") as file:
            for line in _lines(face, run_id):
                file.write(line + "\n")
                number += 1
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)  # fails, in one step, when the name has been taken meanwhile
    finally:
        with suppress(FileNotFoundError):  # after os.replace it has its new name
            os.unlink(temporary)
    return number


def _lines(face: EngineFace, run_id: str) -> Iterator[str]:
    tail = face.output_tail(run_id)
    while lines := tail.read(AT_ONCE):
        for item in lines:
            yield plain_line(item.line)
