"""Storing a grant, step by step: which one, what its form asks for, does the service take it, saved."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from moat_tui.screen.dialogs.form import FormDialog
from moat_tui.screen.dialogs.grant_form import GrantForm
from moat_tui.screen.dialogs.grant_role import RoleForm
from moat_tui.screen.dialogs.grant_ssh import SshForm
from moat_tui.screen.dialogs.grant_value import ValueForm
from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.grant_rows import label
from moat_tui.screen.models.pieces import fit
from moat_tui.screen.models.visible import visible
from moat_tui.screen.widgets.ticks import Tick

if TYPE_CHECKING:
    from engine import GrantInfo, MoatError, ProviderInfo

AWS, SSH = "aws", "ssh"


class AddGrantDialog(FormDialog["GrantInfo | None"]):
    """instead_of: the stored grant that gets another value; nothing else of it can be chosen then."""

    TITLE = "Add a grant"
    YES = "Save (^s)"
    NO = "Back (esc)"
    AUTO_FOCUS = "#providers"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="add-grant.back", tooltip="One step back, or close"),
        Binding(
            "ctrl+s", "save", "Save", priority=True, id="add-grant.save", tooltip="Check and store the value"
        ),
        Binding(
            "ctrl+o",
            "toggle_check",
            "Check on/off",
            priority=True,
            id="add-grant.check",
            tooltip="Whether the service is asked first",
        ),
        Binding(
            "ctrl+r",
            "set_up",
            "Run its tool",
            priority=True,
            id="add-grant.set-up",
            tooltip="Let the service's own tool make a value, in your terminal",
        ),
    ]

    def __init__(self, face: EngineFace, *, instead_of: GrantInfo | None = None) -> None:
        super().__init__()
        self._instead_of = instead_of
        self._face = face
        self._providers: dict[str, ProviderInfo] = {}
        self._form: GrantForm | None = None
        self._saving = False

    def compose_fields(self) -> ComposeResult:
        with Vertical(id="choose"):
            yield Static("Which service? Type to narrow, Enter to choose.", classes="quiet", markup=False)
            yield Input(id="narrow", compact=True, placeholder="all", select_on_focus=False)
            yield OptionList(id="providers", compact=True, markup=False)
            yield Static(id="left-out", markup=False)

    def on_mount(self) -> None:
        self._choosing(True)
        self._load()

    def _choosing(self, yes: bool) -> None:
        """The step that chooses has no buttons: a choice is the way on."""
        self.query_one("#choose").display = yes
        self.query_one(".buttons").display = not yes

    @work(group="load", exclusive=True, exit_on_error=False)
    async def _load(self) -> None:
        try:
            found = [*await self._face.providers(), _ssh()]
            problems = await self._face.provider_problems()
        except Exception as error:
            self.complain(error)
        else:
            self._providers = {item.name: item for item in sorted(found, key=lambda item: item.name)}
            self._tell_left_out(problems)
        self._list(self.query_one("#narrow", Input).value.strip())
        old = self._instead_of
        if old is not None:
            kind = SSH if old.provider.startswith("ssh:") else old.provider
            if kind in self._providers:
                await self._give(self._providers[kind])
            elif self._providers:
                self.say(f"✗ {label(old)} is unknown to this Moat: revoke it instead.")

    def _tell_left_out(self, problems: list[MoatError]) -> None:
        """A file of the person's own providers that has a mistake is named; the others hold."""
        home = os.path.expanduser("~") + "/"
        lines = [f"! left out: {visible(str(problem)).replace(home, '~/')}" for problem in problems[:2]]
        if len(problems) > len(lines):
            lines.append(f"! and {len(problems) - len(lines)} more: moat grant providers")
        self.query_one("#left-out", Static).update(Content("\n".join(lines)))
        self.query_one("#choose").set_class(bool(lines), "-left-out")

    def _list(self, query: str) -> None:
        options = self.query_one("#providers", OptionList)
        options.clear_options()
        for provider in self._providers.values():
            text = f"{provider.name} {provider.title} {' '.join(provider.hosts)}"
            if query.lower() in text.lower():
                about = visible(", ".join(provider.hosts) or provider.title)
                options.add_option(
                    Option(Content(f"{fit(visible(provider.name), 14)} {about}"), id=provider.name)
                )
        if options.option_count:
            options.highlighted = 0

    @on(Input.Changed, "#narrow")
    def _narrowed(self, event: Input.Changed) -> None:
        self._list(event.value.strip())

    @on(Input.Submitted, "#narrow")
    def _chosen_by_name(self) -> None:
        self.query_one("#providers", OptionList).action_select()

    def on_key(self, event: events.Key) -> None:
        """Letters typed on the list narrow it: the list needs only arrows and Enter."""
        if self._form is not None or (self.focused is not None and self.focused.id != "providers"):
            return
        if event.character and event.character.isalnum():
            narrow = self.query_one("#narrow", Input)
            narrow.focus()
            narrow.insert_text_at_cursor(event.character)
            event.stop()

    @on(OptionList.OptionSelected, "#providers")
    async def _chosen(self, event: OptionList.OptionSelected) -> None:
        if self._form is None:
            await self._give(self._providers[event.option.id or ""])

    async def _give(self, provider: ProviderInfo) -> None:
        if provider.name == AWS:
            self._form = RoleForm(self._face, self._instead_of)
        elif provider.name == SSH:
            self._form = SshForm(self._face, self._instead_of)
        else:
            self._form = ValueForm(self._face, provider, self._instead_of)
        self._choosing(False)
        await self.fields.mount(self._form)
        what = "Replace a grant" if self._instead_of is not None else "Add a grant"
        self.retitle(f"{what}: {self._form.what}")
        self.say("")
        self._form.query_one(f"#{self._form.first}").focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.input.id != "narrow":
            self.action_save()

    @on(Button.Pressed, "#yes")
    def _asked_to_save(self) -> None:
        self.action_save()

    @on(Button.Pressed, "#no")
    async def _asked_back(self) -> None:
        await self.action_back()

    async def action_back(self) -> None:
        if self._saving:
            self.workers.cancel_group(self, "save")
            self._idle()
            self.say("Not saved.", bad=False)
        elif self._form is not None and self._instead_of is None:
            form, self._form = self._form, None
            form.forget()
            await form.remove()
            self._choosing(True)
            self.retitle(self.TITLE)
            self.say("")
            self.query_one("#providers").focus()
        else:
            self.dismiss(None)

    def action_toggle_check(self) -> None:
        for tick in self.query("#check").results(Tick):
            tick.toggle()

    def action_set_up(self) -> None:
        if isinstance(self._form, ValueForm) and not self._saving:
            self._form.set_up()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "set_up":
            return isinstance(self._form, ValueForm) and self._form.is_mounted and self._form.can_set_up
        if action == "toggle_check" and isinstance(self._form, SshForm):
            return False
        return None if action in ("save", "toggle_check") and self._form is None else True

    def action_save(self) -> None:
        if self._saving or self._form is None:
            return
        self._saving = True
        self.query_one("#yes", Button).disabled = True
        self.fields.all_right()
        self.say("")
        self._save(self._form)

    @work(group="save", exclusive=True, exit_on_error=False)
    async def _save(self, form: GrantForm) -> None:
        try:
            saved = await form.store(lambda text: self.say(text, bad=False))
        except Exception as error:
            self._idle()
            if self.focused is None or self.focused.id == "yes":
                form.query_one(f"#{form.first}").focus()
            self.complain(error)
        else:
            self.dismiss(saved)

    def _idle(self) -> None:
        self._saving = False
        self.query_one("#yes", Button).disabled = False

    def say(self, text: str, *, bad: bool = True) -> None:
        super().say(text, bad=bad)
        self.refresh_bindings()


def _ssh() -> ProviderInfo:
    """Not a row of the provider table: each host is a grant of its own."""
    from engine import ProviderInfo

    return ProviderInfo(SSH, "SSH", ("a host that you name, with a key of your SSH agent",), "")
