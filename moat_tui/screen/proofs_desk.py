"""What a person can do with proofs from the screen: write a bundle or a dossier, and verify a file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.audit_report import verdict_lines
from moat_tui.screen.models.moments import size
from moat_tui.screen.models.visible import visible
from moat_tui.screen.named_files import named_path
from moat_tui.screen.problems import report
from moat_tui.screen.proof_files import DOSSIER, PROOF, default_name, write_whole

if TYPE_CHECKING:
    from textual.app import App


@dataclass(frozen=True)
class _Written:
    """What can be written of a run, in the words of its dialog; `what` begins a sentence."""

    what: str
    title: str
    text: str
    yes: str
    ending: str
    how: str  # to use it


_PROOF = _Written(
    "proof bundle",
    "Export the proof of",
    "The log, its signatures and its hashes in one file, which verifies on any machine. "
    "It holds what the log holds: hosts, paths, and the agent's output.",
    "Export",
    PROOF,
    "Verify it anywhere: moat audit verify FILE",
)
_DOSSIER = _Written(
    "dossier",
    "Write the dossier of",
    "The run's story on one page for a browser without a network: what it was given, asked for and was "
    "refused, what became of the workspace, and the proof. It holds what the logs hold.",
    "Write",
    DOSSIER,
    "Open it in a browser",
)


class ProofsDesk:
    """Its coroutines run in workers of the audit screen."""

    def __init__(self, app: App[Any], face: EngineFace) -> None:
        self._app = app
        self._face = face

    async def export(self, run_id: str, run_name: str) -> None:
        """Ask where to, and before something is replaced; then write the bundle."""
        await self._write(_PROOF, run_name, lambda: self._face.export(run_id))

    async def dossier(self, run_id: str, run_name: str) -> None:
        """The same for the run's dossier."""
        await self._write(_DOSSIER, run_name, lambda: self._face.dossier(run_id))

    async def _write(
        self, kind: _Written, run_name: str, make: Callable[[], Coroutine[Any, Any, bytes]]
    ) -> None:
        from moat_tui.screen.dialogs.confirm import ConfirmDialog
        from moat_tui.screen.dialogs.file_path import FilePathDialog
        from moat_tui.screen.dialogs.progress import GivenUp, with_progress

        given = default_name(run_name, kind.ending)
        replace = False
        while True:
            given = await self._app.push_screen_wait(
                FilePathDialog(f"{kind.title} {visible(run_name)}", kind.text, value=given, yes=kind.yes)
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
                data = await with_progress(self._app, "Reading the whole log…", make())
                await asyncio.to_thread(write_whole, path, data, replace=replace)
            except FileExistsError:  # it has come meanwhile: ask about it
                continue
            except GivenUp:
                self._app.notify(f"No {kind.what} was written.", markup=False)
                return
            except Exception as error:
                report(self._app, f"The {kind.what} was not written", error)
                return
            self._app.notify(
                f"{visible(str(path))}, {size(len(data))}. {kind.how}",
                title=f"{kind.what.capitalize()} written",
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
