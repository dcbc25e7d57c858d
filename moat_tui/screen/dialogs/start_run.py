"""The form that starts a run. What is wrong is said in the form, and nothing typed is lost."""

from __future__ import annotations

import os
import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, Input, Label, Select, Static
from textual.widgets.selection_list import Selection

from moat_tui.screen.dialogs import STYLES
from moat_tui.screen.models.start_form import AS_CONFIGURED, POLICIES, SANDBOXES, FormError, build_request
from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import explain
from moat_tui.screen.widgets.ticks import TickList

if TYPE_CHECKING:
    from engine import RunInfo, RunRequest

type Launch = Callable[["RunRequest"], Awaitable["RunInfo | None"]]


class StartRunDialog(ModalScreen["RunInfo | None"]):
    """launch: starts the run, asking for approval when needed; None means the person said no.

    grants: names that can be ticked. request, problem: what was tried before and why it failed; what the
    form has no field for (mounts, environment, image …) is kept from `request`.
    """

    CSS_PATH = STYLES
    AUTO_FOCUS = "#command"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Cancel", id="start.cancel", tooltip="Close without starting"),
        Binding("ctrl+s", "start", "Start", priority=True, id="start.start", tooltip="Start the run"),
    ]

    def __init__(
        self, launch: Launch, grants: Sequence[str], *, request: RunRequest | None = None, problem: str = ""
    ) -> None:
        super().__init__()
        self._launch = launch
        self._base = request
        wanted = tuple(request.grants) if request else ()
        self._grants = [*grants, *(name for name in wanted if name not in grants)]
        self._problem = problem
        self._starting = False

    def compose(self) -> ComposeResult:
        base = self._base
        workspace = base.workspace if base else os.getcwd()
        command = shlex.join(base.command) if base else ""
        policy = base.policy if base and base.policy else AS_CONFIGURED
        sandbox = "off" if base and base.sandbox is False else AS_CONFIGURED
        with Vertical(classes="dialog -form"):
            yield Static("Start a run", classes="dialog-title", markup=False)
            with VerticalScroll(id="fields", can_focus=False):
                yield from _row(
                    "Workspace", Input(workspace, id="workspace", compact=True, select_on_focus=False)
                )
                yield from _row(
                    "Command",
                    Input(command, id="command", compact=True, placeholder="empty: as agent.yaml says"),
                )
                yield from _row(
                    "Name",
                    Input(base.name if base else "", id="name", compact=True, placeholder="empty: made up"),
                )
                yield from _row("Grants", self._grant_list())
                yield from _row("Network", _select(POLICIES, policy, "policy"))
                yield from _row("Sandbox", _select(SANDBOXES, sandbox, "sandbox"))
            yield Static(self._problem, id="problem", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Start (^s)", id="start", variant="primary")
                yield Button("Cancel (esc)", id="cancel")
        yield Footer(show_command_palette=False, compact=True)

    def _grant_list(self) -> Static | TickList:
        if not self._grants:
            return Static("none stored yet: press a on the main screen", classes="quiet", markup=False)
        ticked = set(self._base.grants) if self._base else set()
        choices = [Selection(Content(visible(name)), name, name in ticked) for name in self._grants]
        return TickList(*choices, id="granted", compact=True)

    def on_mount(self) -> None:
        self.query_one("#problem").set_class(bool(self._problem), "shown")

    @on(Input.Submitted)
    @on(Button.Pressed, "#start")
    def _asked_to_start(self) -> None:
        self.action_start()

    @on(Button.Pressed, "#cancel")
    def _cancelled(self) -> None:
        self.action_close()

    def action_close(self) -> None:
        if self._starting:
            # The run may already exist; it would be started anyway, only unseen.
            self.say("Starting. This form closes when the agent runs, or says why it does not.", bad=False)
            return
        self.dismiss(None)

    def action_start(self) -> None:
        if self._starting:
            return
        try:
            request = self._request()
        except FormError as error:
            self.say(str(error))
            self.query_one(f"#{error.field}").focus()
            return
        self._starting = True
        self.query_one("#start", Button).disabled = True
        self.say("◌ Starting: image, network, proxy, container…", bad=False)
        self._start_run(request)

    def _request(self) -> RunRequest:
        import msgspec

        grants = self.query("#granted").results(TickList)
        typed = build_request(
            workspace=self.query_one("#workspace", Input).value,
            command=self.query_one("#command", Input).value,
            name=self.query_one("#name", Input).value,
            grants=tuple(str(name) for chosen in grants for name in chosen.selected),
            policy=str(self.query_one("#policy", Select).value),
            sandbox=str(self.query_one("#sandbox", Select).value),
        )
        if self._base is None:
            return typed
        shown = ("workspace", "command", "name", "grants", "policy", "sandbox")
        return msgspec.structs.replace(self._base, **{field: getattr(typed, field) for field in shown})

    @work(group="start", exclusive=True, exit_on_error=False)
    async def _start_run(self, request: RunRequest) -> None:
        try:
            info = await self._launch(request)
        except Exception as error:
            self.say("✗ " + "\n".join(explain(error)))
        else:
            if info is not None:
                self.dismiss(info)
                return
            self.say("Not started: what agent.yaml asks for was not allowed.", bad=False)
        self._starting = False
        self.query_one("#start", Button).disabled = False

    def say(self, text: str, *, bad: bool = True) -> None:
        problem = self.query_one("#problem", Static)
        problem.update(text)
        problem.set_class(bool(text), "shown")
        problem.set_class(bad, "bad")


def _row(title: str, field: Input | Select[str] | TickList | Static) -> ComposeResult:
    with Horizontal(classes="row"):
        yield Label(title, classes="row-title", markup=False)
        yield field


def _select(choices: Sequence[tuple[str, str]], value: str, id: str) -> Select[str]:
    return Select([(text, key) for key, text in choices], value=value, allow_blank=False, id=id, compact=True)
