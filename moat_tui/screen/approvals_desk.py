"""What the screen does about requests that wait for a person: says it is there, shows them, answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.approval_lines import place
from moat_tui.screen.models.approval_queue import ApprovalQueue, Waiting
from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import report

if TYPE_CHECKING:
    from textual.app import App

    from engine import Approval, RunInfo

ANNOUNCE_EVERY = 3.0  # seconds; a run takes the screen's word for ten

_SAID = {
    "once": "{} is allowed this once.",
    "run": "{} is allowed for this run.",
    "always": "{} is allowed for every run; the rule is in your config.yaml.",
    "deny": "{} is denied this once.",
    "deny-run": "{} is denied for this run.",
}


class ApprovalsDesk:
    """Its coroutines run in workers of the main screen."""

    def __init__(self, app: App[Any], face: EngineFace) -> None:
        self._app = app
        self._face = face
        self._names: Mapping[str, str] = {}
        self.queue = ApprovalQueue()

    def know_runs(self, runs: Sequence[RunInfo]) -> None:
        self._names = {run.id: run.name for run in runs}

    def name_of(self, run_id: str) -> str:
        return self._names.get(run_id, run_id)

    async def announce(self, run_ids: Sequence[str]) -> None:
        """Tell these runs that somebody is there to answer."""
        # One that does not answer has just begun or ends: the next time tells.
        await asyncio.gather(*map(self._face.watch_approvals, run_ids), return_exceptions=True)

    def take(self, found: Mapping[str, Sequence[Approval]]) -> None:
        """Show what waits now: at once where no key or word can be meant for something else."""
        from moat_tui.screen.dialogs.approvals import ApprovalsDialog

        new = self.queue.update(found, time.monotonic())
        top = self._app.screen
        if isinstance(top, ApprovalsDialog):
            top.redraw()
        if not new:
            return
        self._app.bell()
        if isinstance(top, ApprovalsDialog):
            return
        if self._is_free():
            self.open()
        else:
            first = new[0]
            self._app.notify(
                f"{visible(self.name_of(first.run_id))} wants to reach {place(first.approval)}. "
                "W on the main screen shows it.",
                title="A request waits for you",
                severity="warning",
                markup=False,
                timeout=10,
            )

    def _is_free(self) -> bool:
        """Whether nobody is in the middle of something: in a dialog, or writing in a field."""
        from textual.screen import ModalScreen
        from textual.widgets import Input

        return not isinstance(self._app.screen, ModalScreen) and not isinstance(self._app.focused, Input)

    def open(self) -> None:
        from moat_tui.screen.dialogs.approvals import ApprovalsDialog

        if self.queue.current is not None:
            self._app.push_screen(ApprovalsDialog(self))

    async def answer(self, waiting: Waiting, answer: str, about: str) -> None:
        try:
            await self._face.answer_approval(waiting.run_id, waiting.approval.id, answer)
        except Exception as error:
            report(self._app, f"{about} was not answered", error)
        else:
            self._app.notify(_SAID[answer].format(about), markup=False, timeout=5)
