"""What a person can do to runs from the screen: start, stop, kill, and leave them running or not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import report

if TYPE_CHECKING:
    from textual.app import App

    from engine import RunInfo, RunRequest


class RunsDesk:
    """Remembers which runs this screen started. Its coroutines run in workers of the main screen."""

    def __init__(self, app: App[Any], face: EngineFace) -> None:
        self._app = app
        self._face = face
        self.started: set[str] = set()

    async def launch(self, request: RunRequest, notice: Callable[[str], None]) -> RunInfo | None:
        """Start a run, asking first when its agent.yaml wants more than was approved.

        notice: gets what is said while it starts. None when the person said no. Raises MoatError.
        """
        import msgspec

        from engine import ApprovalNeeded

        while True:
            try:
                info = await self._face.start(request, notice)
            except ApprovalNeeded as needed:
                from moat_tui.screen.dialogs.approve import ApproveDialog

                self._app.bell()
                if not await self._app.push_screen_wait(ApproveDialog(request.workspace, needed.asks)):
                    return None
                # Only what was shown: an agent could have written the file again since, and then it is
                # asked again.
                request = msgspec.structs.replace(request, accepted=needed.asks)
            else:
                break
        self.started.add(info.id)
        return info

    async def stop(self, run: RunInfo, *, kill: bool) -> None:
        """Ask, then stop or kill."""
        from moat_tui.screen.dialogs.confirm import ConfirmDialog

        name = visible(run.name)
        title = f"Kill {name}?" if kill else f"Stop {name}?"
        text = (
            "The agent is killed at once and cannot finish what it is writing."
            if kill
            else "The agent is asked to end (TERM); after 10 seconds it is killed. "
            "Its files, log and audit chain stay."
        )
        if not await self._app.push_screen_wait(ConfirmDialog(title, text, yes="Kill" if kill else "Stop")):
            return
        self._app.notify(f"{'Killing' if kill else 'Stopping'} {name}…", markup=False, timeout=4)
        try:
            info = await self._face.stop(run.id, kill=kill)
        except Exception as error:
            report(self._app, f"{name} was not stopped", error)
        else:
            self._app.notify(f"{name}: {info.state.value}", markup=False)

    async def destroy(self, run: RunInfo) -> None:
        """Ask, then remove all that is recorded about an ended run."""
        from moat_tui.screen.dialogs.confirm import ConfirmDialog
        from moat_tui.screen.dialogs.progress import GivenUp, with_progress

        name = visible(run.name)
        text = (
            "Its output, requests, snapshots and audit log are deleted here, and with them the proof of what "
            "it did. Export the proof first if you may need it. The workspace stays as it is."
        )
        if not await self._app.push_screen_wait(ConfirmDialog(f"Destroy {name}?", text, yes="Destroy")):
            return
        try:
            await with_progress(self._app, f"Destroying {name}…", self._face.destroy(run.id))
        except GivenUp:
            self._app.notify(f"{name} may be half destroyed; do it again.", markup=False)
        except Exception as error:
            report(self._app, f"{name} was not destroyed", error)
        else:
            self._app.notify(f"{name} is destroyed.", markup=False)

    async def rename(self, run: RunInfo) -> None:
        from moat_tui.screen.dialogs.rename import RenameDialog

        dialog = RenameDialog(run.name, lambda name: self._face.rename(run.id, name))
        renamed = await self._app.push_screen_wait(dialog)
        if renamed is not None:
            self._app.notify(f"{visible(run.name)} is now {visible(renamed.name)}.", markup=False)

    async def snapshot(self, run: RunInfo) -> None:
        name = visible(run.name)
        self._app.notify(f"Keeping the workspace of {name}…", markup=False, timeout=4)
        try:
            made = await self._face.snapshot(run)
        except Exception as error:
            report(self._app, f"No snapshot of {name} was made", error)
        else:
            back = f"moat restore {run.id} {made}"
            self._app.notify(f"Snapshot {made} of {name}; put it back with: {back}", markup=False)

    async def open_workspace(self, run: RunInfo) -> None:
        """In the file manager where there is a desktop; else its path goes to the clipboard."""
        from moat_tui.screen.desktop import open_directory, opener

        program = opener(os.environ)
        opened = await asyncio.to_thread(open_directory, program, run.workspace) if program else False
        if opened:
            self._app.notify(f"Opened {visible(run.workspace)}", markup=False, timeout=4)
            return
        self._app.copy_to_clipboard(run.workspace)
        self._app.notify(f"Copied {visible(run.workspace)}", markup=False, timeout=4)

    async def may_leave(self, runs: Mapping[str, RunInfo]) -> bool:
        """Whether to quit now. Asks only when runs that this screen started are still live."""
        live = [runs[run_id] for run_id in self.started if run_id in runs and not runs[run_id].state.ended]
        if not live:
            return True
        from moat_tui.screen.dialogs.leave import LeaveDialog

        choice = await self._app.push_screen_wait(LeaveDialog([visible(run.name) for run in live]))
        if choice == "stop":
            return await self._stop_all(live)
        return choice == "leave"

    async def _stop_all(self, live: list[RunInfo]) -> bool:
        self._app.notify(f"Stopping {len(live)}…", markup=False)
        ended = await asyncio.gather(
            *(self._face.stop(run.id, kill=False) for run in live), return_exceptions=True
        )
        failed = False
        for run, result in zip(live, ended, strict=True):
            if isinstance(result, BaseException):
                report(self._app, f"{visible(run.name)} was not stopped", result)
                failed = True
        return not failed
