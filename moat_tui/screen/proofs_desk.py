"""What a person can do with proof bundles from the screen: write one, and verify one from a file."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.audit_report import verdict_lines
from moat_tui.screen.models.moments import size
from moat_tui.screen.models.visible import visible
from moat_tui.screen.named_files import named_path
from moat_tui.screen.problems import report
from moat_tui.screen.proof_files import default_name, write_whole

if TYPE_CHECKING:
    from textual.app import App


class ProofsDesk:
    """Its coroutines run in workers of the audit screen."""

    def __init__(self, app: App[Any], face: EngineFace) -> None:
        self._app = app
        self._face = face

    async def export(self, run_id: str, run_name: str) -> None:
        """Ask where to, and before something is replaced; then write the bundle."""
        from moat_tui.screen.dialogs.confirm import ConfirmDialog
        from moat_tui.screen.dialogs.file_path import FilePathDialog
        from moat_tui.screen.dialogs.progress import GivenUp, with_progress

        given = default_name(run_name)
        replace = False
        while True:
            given = await self._app.push_screen_wait(
                FilePathDialog(
                    f"Export the proof of {visible(run_name)}",
                    "The log, its signatures and its hashes in one file, which verifies on any machine. "
                    "It holds what the log holds: hosts, paths, and the agent's output.",
                    value=given,
                    yes="Export",
                )
            )
            if not given:
                return
            path = named_path(given)
            if await asyncio.to_thread(os.path.lexists, path):
                question = ConfirmDialog(
                    f"Replace {visible(path.name)}?", "A file of this name is there already.", yes="Replace"
                )
                replace = await self._app.push_screen_wait(question)
                if not replace:
                    continue
            try:
                data = await with_progress(self._app, "Reading the whole log…", self._face.export(run_id))
                await asyncio.to_thread(write_whole, path, data, replace=replace)
            except FileExistsError:  # it has come meanwhile: ask about it
                continue
            except GivenUp:
                self._app.notify("No proof bundle was written.", markup=False)
                return
            except Exception as error:
                report(self._app, "The proof bundle was not written", error)
                return
            self._app.notify(
                f"{visible(str(path))}, {size(len(data))}. Verify it anywhere: moat audit verify FILE",
                title="Proof bundle written",
                markup=False,
            )
            return

    async def verify(self) -> None:
        """Ask for a file, and show what its verification says."""
        from moat_tui.screen.dialogs.file_path import FilePathDialog
        from moat_tui.screen.dialogs.progress import GivenUp, with_progress
        from moat_tui.screen.dialogs.report import ReportDialog

        given = await self._app.push_screen_wait(
            FilePathDialog(
                "Verify a proof bundle",
                "The file that an export wrote, here or on another machine. → takes what is suggested.",
                yes="Verify",
            )
        )
        if not given:
            return
        path = named_path(given)
        try:
            verdict = await with_progress(self._app, "Verifying the file…", self._face.verify_file(path))
        except GivenUp:
            self._app.notify("Verifying was cancelled; nothing is known from it.", markup=False)
            return
        except Exception as error:
            report(self._app, "The file was not verified", error)
            return
        lines = verdict_lines(verdict, live=False)
        await self._app.push_screen_wait(ReportDialog(f"Proof bundle {visible(str(path))}", lines))
