"""The form that starts a run. What is wrong is said in the form, and nothing typed is lost."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.suggester import Suggester
from textual.widgets import Button, Input, Select, Static
from textual.widgets.selection_list import Selection

from moat_tui.screen.dialogs.form import FormDialog
from moat_tui.screen.models.form_error import FormError
from moat_tui.screen.models.grant_rows import tick_label
from moat_tui.screen.models.narrowing import by_provider, why_whole
from moat_tui.screen.models.start_form import (
    AS_CONFIGURED,
    POLICIES,
    RUNTIMES,
    SANDBOXES,
    TERMINALS,
    build_request,
    variables,
)
from moat_tui.screen.models.visible import visible
from moat_tui.screen.models.workspace_form import complete_directory, said_by
from moat_tui.screen.problems import explain
from moat_tui.screen.widgets.form_fields import FormField
from moat_tui.screen.widgets.ticks import Tick, TickList

if TYPE_CHECKING:
    from engine import RunInfo, RunRequest, WorkspaceInfo

NO_GRANTS = "none stored yet: press a on the main screen"
_SHOWN = (
    "workspace",
    "command",
    "name",
    "grants",
    "without_grants",
    "policy",
    "sandbox",
    "runtime",
    "interactive",
    "profile",
    "allow_hosts",
    "mounts",
    "env",
    "decoys",
)
"""What of a RunRequest has a field."""
REST = 0.15  # seconds without a key before a workspace is looked into

type Launch = Callable[["RunRequest", Callable[[str], None]], Awaitable["RunInfo | None"]]
type Describe = Callable[[str], Awaitable["WorkspaceInfo"]]


class StartRunDialog(FormDialog["RunInfo | None"]):
    """launch: starts the run, telling what goes on and asking for approval when needed; None means the person
    said no.

    grants: for each profile ("" is the default one) the names that can be ticked, each with its state.
    describe: what a directory's agent.yaml says. recent: workspaces used before, newest first. request,
    problem: what was tried before and why it failed; what the form has no field for (image, keep …) is kept
    from `request`, and the values of its variables are not shown. env: names of variables whose values are
    not known. decoys: whether config.yaml plants them.
    """

    TITLE = "Start a run"
    YES = "Start (^s)"
    AUTO_FOCUS = "#command"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Cancel", id="start.cancel", tooltip="Close, or stop what is starting"),
        Binding("ctrl+s", "start", "Start", priority=True, id="start.start", tooltip="Start the run"),
        Binding("e", "narrow", "Limit", id="start.limit", tooltip="Give less of the grant under the cursor"),
    ]

    def __init__(
        self,
        launch: Launch,
        grants: Mapping[str, Mapping[str, str]],
        describe: Describe,
        *,
        recent: Sequence[str] = (),
        request: RunRequest | None = None,
        problem: str = "",
        env: Sequence[str] = (),
        decoys: bool = False,
    ) -> None:
        super().__init__()
        self._launch = launch
        self._base = request
        self._describe = describe
        self._recent = recent
        self._profile = request.profile if request else ""
        self._grants = {"": {}, **grants, self._profile: grants.get(self._profile, {})}
        self._problem = problem
        self._env = [*(request.env if request else ()), *env]
        self._asked: tuple[str, ...] = request.without_grants if request else ()  # by agent.yaml
        self._chosen: dict[str, bool] = {}  # what the person ticked and unticked here
        self._decoys = request.decoys if request and request.decoys is not None else decoys
        self._limited: list[str] = []  # grants as the person limited them here
        self._starting = False

    def compose_fields(self) -> ComposeResult:
        base = self._base
        workspace = base.workspace if base else os.getcwd()
        command = shlex.join(base.command) if base else ""
        policy = base.policy if base and base.policy else AS_CONFIGURED
        runtime = base.runtime if base and base.runtime in dict(RUNTIMES) else AS_CONFIGURED
        sandboxes = {True: "on", False: "off", None: AS_CONFIGURED}
        sandbox = sandboxes[base.sandbox if base else None]
        terminal = "on" if base and base.interactive else AS_CONFIGURED
        yield FormField(
            "Workspace",
            Input(
                workspace,
                id="workspace",
                compact=True,
                select_on_focus=False,
                suggester=Directories(self._recent),
            ),
        )
        yield FormField("", Static("◌", id="said", classes="quiet", markup=False))
        yield FormField(
            "Command",
            Input(command, id="command", compact=True, placeholder="empty: as agent.yaml says"),
        )
        yield FormField(
            "Name",
            Input(base.name if base else "", id="name", compact=True, placeholder="empty: made up"),
        )
        if len(self._grants) > 1:
            profiles = [(name, visible(name) or "default") for name in sorted(self._grants)]
            yield FormField("Profile", _select(profiles, self._profile, "profile"))
        yield FormField(
            "Grants",
            TickList(id="granted", compact=True),
            Static(NO_GRANTS, id="no-grants", classes="quiet", markup=False),
        )
        yield FormField("Network", _select(POLICIES, policy, "policy"))
        yield FormField("Sandbox", _select(SANDBOXES, sandbox, "sandbox"))
        yield FormField("Runtime", _select(RUNTIMES, runtime, "runtime"))
        yield FormField("Terminal", _select(TERMINALS, terminal, "terminal"))
        tick = Tick("fake keys; one that leaves freezes the network", self._decoys, id="decoys", compact=True)
        yield FormField("Decoys", tick)
        hosts = shlex.join(base.allow_hosts) if base else ""
        yield FormField("Hosts", _line("hosts", hosts, "also let through by a strict network"))
        mounts = shlex.join(base.mounts) if base else ""
        yield FormField("Mounts", _line("mounts", mounts, "SRC:DST[:ro] …"))
        yield FormField(
            "Variables",
            _line("variables", shlex.join(self._env), "NAME=VALUE …; NAME takes yours"),
        )

    def _list_grants(self) -> list[str]:
        """Gives what is listed."""
        base = self._base
        given = set(base.grants) if base and self._profile == base.profile else set()
        left_out = set(base.without_grants) if base else set()
        stored = self._grants[self._profile]
        names = by_provider([*stored, *sorted(given), *self._asked, *self._limited])
        ticks = self.query_one("#granted", TickList)
        with self.prevent(TickList.SelectedChanged):
            ticks.clear_options()
            for name in names:
                asked = name in self._asked
                ticked = self._chosen.get(name, name in given or (asked and name not in left_out))
                state = stored.get(name) or stored.get(name.partition(";")[0], "")
                label = tick_label(name, state, asked=asked)
                ticks.add_option(Selection(Content(label), name, ticked))
        ticks.highlighted = 0 if names else None
        ticks.display = bool(names)
        self.query_one("#no-grants").display = not names
        return names

    def on_mount(self) -> None:
        self.say(self._problem)
        self._list_grants()

    @on(Select.Changed, "#profile")
    def _profile_chosen(self, event: Select.Changed) -> None:
        if event.value != self._profile:
            self._profile = str(event.value)
            self._chosen.clear()
            self._limited.clear()
            self._list_grants()

    @on(TickList.SelectionToggled, "#granted")
    def _toggled(self, event: TickList.SelectionToggled[str]) -> None:
        from engine import grant_provider

        name, ticks = event.selection.value, event.selection_list
        self._chosen[name] = name in ticks.selected
        if self._chosen[name]:  # a provider is given once, whole or as one of its scopes
            for other in list(ticks.selected):
                if other != name and grant_provider(other) == grant_provider(name):
                    ticks.deselect(other)
                    self._chosen[other] = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (action == "narrow" and (self.focused is None or self.focused.id != "granted"))

    @work(group="narrow", exclusive=True, exit_on_error=False)
    async def action_narrow(self) -> None:
        """Scope and limits for the grant under the cursor; with them it is ticked."""
        from engine import grant_provider
        from moat_tui.screen.dialogs.narrow_grant import NarrowGrantDialog

        ticks = self.query_one("#granted", TickList)
        if ticks.highlighted is None:
            return
        old = str(ticks.get_option_at_index(ticks.highlighted).value)
        if why := why_whole(old):
            self.complain(FormError("granted", why))
            return
        stored = self._grants[self._profile]
        provider = grant_provider(old)
        scopes = [name.partition(":")[2] for name in stored if name.startswith(f"{provider}:")]
        text = await self.app.push_screen_wait(NarrowGrantDialog(old, scopes))
        if text is None:
            return
        self._limited = [name for name in self._limited if name != old] + [text]
        for name in [*stored, *self._asked, *(self._base.grants if self._base else ()), *self._limited]:
            if grant_provider(name) == provider:
                self._chosen[name] = name == text
        ticks.highlighted = self._list_grants().index(text)

    @on(Input.Changed, "#workspace")
    def _workspace_changed(self, event: Input.Changed) -> None:
        self._look_into(event.value)

    @work(group="describe", exclusive=True, exit_on_error=False)
    async def _look_into(self, path: str) -> None:
        """Show what agent.yaml says there, once the typing rests."""
        await asyncio.sleep(REST)
        try:
            info = await self._describe(path)
        except Exception as error:
            text, bad = "! " + explain(error)[0], True
        else:
            text, bad = said_by(info)
            if info.grants != self._asked:
                self._asked = info.grants
                self._list_grants()
        said = self.query_one("#said", Static)
        said.update(Content(text))
        said.set_class(bad, "bad")

    @on(Input.Submitted)
    @on(Button.Pressed, "#yes")
    def _asked_to_start(self) -> None:
        self.action_start()

    @on(Button.Pressed, "#no")
    def _cancelled(self) -> None:
        self.action_close()

    def action_close(self) -> None:
        if not self._starting:
            self.dismiss(None)
        elif self.workers.cancel_group(self, "start"):
            self.say("◌ Stopping what has begun…", bad=False)

    def action_start(self) -> None:
        if self._starting:
            return
        try:
            request = self._request()
        except FormError as error:
            self.complain(error)
            return
        self._starting = True
        self.fields.all_right()
        self.query_one("#yes", Button).disabled = True
        self.say("◌ Starting: image, network, proxy, container…", bad=False)
        self._start_run(request)

    def _request(self) -> RunRequest:
        import msgspec

        typed = build_request(
            workspace=self.query_one("#workspace", Input).value,
            command=self.query_one("#command", Input).value,
            name=self.query_one("#name", Input).value,
            grants=tuple(str(name) for name in self.query_one("#granted", TickList).selected),
            policy=str(self.query_one("#policy", Select).value),
            sandbox=str(self.query_one("#sandbox", Select).value),
            runtime=str(self.query_one("#runtime", Select).value),
            profile=self._profile,
            terminal=str(self.query_one("#terminal", Select).value),
            asked=self._asked,
            hosts=self.query_one("#hosts", Input).value,
            mounts=self.query_one("#mounts", Input).value,
            env=variables(
                self.query_one("#variables", Input).value,
                self._base.env if self._base else {},
                os.environ,
            ),
            decoys=self._wish_for_decoys(),
        )
        if self._base is None:
            return typed
        # A worktree is of the repository that was there, not of what was typed instead.
        worktree = self._base.worktree if typed.workspace == self._base.workspace else ""
        shown = {field: getattr(typed, field) for field in _SHOWN}
        return msgspec.structs.replace(self._base, worktree=worktree, **shown)

    def _wish_for_decoys(self) -> bool | None:
        """An empty box that was empty says nothing: agent.yaml may ask for them."""
        ticked = self.query_one("#decoys", Tick).value
        return ticked if ticked or self._decoys else None

    @work(group="start", exclusive=True, exit_on_error=False)
    async def _start_run(self, request: RunRequest) -> None:
        try:
            info = await self._launch(request, self._noticed)
        except asyncio.CancelledError:
            if self.is_attached:
                self.say("Not started: it was cancelled.", bad=False)
                self._idle()
            raise
        except Exception as error:
            self.complain(error)
        else:
            if info is not None:
                self.dismiss(info)
                return
            self.say("Not started: what agent.yaml asks for was not allowed.", bad=False)
        self._idle()

    def _noticed(self, line: str) -> None:
        if self.is_attached and self._starting:
            self.say(f"◌ {visible(line)}", bad=False)

    def _idle(self) -> None:
        self._starting = False
        self.query_one("#yes", Button).disabled = False


class Directories(Suggester):
    """How a half-typed workspace may go on; the right arrow takes it."""

    def __init__(self, recent: Sequence[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._recent = recent

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(complete_directory, value, self._recent)


def _line(id: str, value: str, placeholder: str) -> Input:
    return Input(value, id=id, compact=True, placeholder=placeholder)


def _select(choices: Sequence[tuple[str, str]], value: str, id: str) -> Select[str]:
    return Select([(text, key) for key, text in choices], value=value, allow_blank=False, id=id, compact=True)
