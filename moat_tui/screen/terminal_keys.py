"""What the keys of an agent's terminal do: attach to the selected run, or open a shell in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import work

from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import SHOWN_FOR, report
from moat_tui.screen.requests_keys import RequestsKeys

if TYPE_CHECKING:
    from engine import RunInfo
    from moat_tui.screen.app import MoatApp

_SAYS = "moat: "


class TerminalKeys(RequestsKeys):
    def terminal_action_possible(self, action: str) -> bool:
        app = cast("MoatApp", self.app)
        run = self._runs.current
        if run is None or run.state.ended or run.state == "starting" or not app.handover.possible(app):
            return False
        return run.interactive or action != "attach_run"

    def action_open_terminal(self) -> None:
        run = self._runs.current
        if run is not None:
            self._hand_over(run, attach=run.interactive)

    def action_attach_run(self) -> None:
        if self._runs.current is not None:
            self._hand_over(self._runs.current, attach=True)

    def action_open_shell(self) -> None:
        if self._runs.current is not None:
            self._hand_over(self._runs.current, attach=False)

    @work(group="terminal", exclusive=True, exit_on_error=False)
    async def _hand_over(self, run: RunInfo, *, attach: bool) -> None:
        app = cast("MoatApp", self.app)
        name = visible(run.name)
        if attach:
            heading = f"{_SAYS}attached to {name} ({run.id}); back to the screen: ctrl-p ctrl-q"
        else:
            heading = f"{_SAYS}a shell in {name} ({run.id}); back to the screen: exit, or ctrl-d"
        try:
            command, environment = app.face.terminal_command(run.id, attach=attach)
            ended = await app.handover.give(app, command, environment, heading)
        except Exception as error:
            report(app, f"No terminal of {name}", error)
            return
        said = "\n".join(
            visible(line.removeprefix(_SAYS)) for line in ended.said.splitlines() if line.strip()
        )
        if said:
            failed = said.startswith("error: ")
            app.notify(
                said.removeprefix("error: "),
                title=f"Terminal of {name}" if failed else "",
                severity="error" if failed else "information",
                timeout=SHOWN_FOR if failed else None,
                markup=False,
            )
