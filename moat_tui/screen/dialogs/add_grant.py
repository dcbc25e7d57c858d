"""Storing a credential, step by step: which provider, which value, does the service take it, saved.

The value is typed hidden or comes from where the provider's tools keep it. It lives in the input and in
the coroutine that checks and saves it, and in no label, message or log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, ContentSwitcher, Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from moat_tui.screen.dialogs import STYLES
from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.grant_rows import label
from moat_tui.screen.models.pieces import fit
from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import explain
from moat_tui.screen.widgets.ticks import Tick

if TYPE_CHECKING:
    from engine import FoundToken, GrantInfo, ProviderInfo


class AddGrantDialog(ModalScreen["GrantInfo | None"]):
    """instead_of: the stored grant that gets another value; nothing else of it can be chosen then."""

    CSS_PATH = STYLES
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
    ]

    def __init__(self, face: EngineFace, *, instead_of: GrantInfo | None = None) -> None:
        super().__init__()
        self._instead_of = instead_of
        self._face = face
        self._providers: dict[str, ProviderInfo] = {}
        self._provider: ProviderInfo | None = None
        self._found: FoundToken | None = None
        self._saving = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -form"):
            yield Static("Add a grant", classes="dialog-title", id="title", markup=False)
            with ContentSwitcher(initial="choose"):
                with Vertical(id="choose"):
                    yield Static(
                        "Which service? Type to narrow, Enter to choose.", classes="quiet", markup=False
                    )
                    yield Input(id="narrow", compact=True, placeholder="all")
                    yield OptionList(id="providers", compact=True, markup=False)
                with Vertical(id="give"):
                    yield Static(id="hosts", classes="quiet", markup=False)
                    yield Static(id="source", markup=False)
                    yield Input(
                        id="value",
                        password=True,
                        compact=True,
                        placeholder="paste the value: it is not shown",
                    )
                    yield Input(
                        self._instead_of.profile if self._instead_of else "",
                        id="profile",
                        compact=True,
                        disabled=self._instead_of is not None,
                        placeholder="profile: empty for the default one",
                    )
                    yield Tick("Ask the service whether it takes the value", True, id="check", compact=True)
                    with Horizontal(classes="buttons"):
                        yield Button("Save (^s)", id="save", variant="primary")
                        yield Button("Back (esc)", id="back")
            yield Static(id="problem", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._load()

    @work(group="load", exclusive=True, exit_on_error=False)
    async def _load(self) -> None:
        try:
            self._providers = {provider.name: provider for provider in await self._face.providers()}
        except Exception as error:
            self._say("✗ " + "\n".join(explain(error)))
        self._list("")
        old = self._instead_of
        if old is not None and old.provider in self._providers:
            self._give(self._providers[old.provider])
        elif old is not None and self._providers:
            self._say(f"✗ {label(old)} is unknown to this Moat: revoke it instead.")

    def _list(self, query: str) -> None:
        options = self.query_one("#providers", OptionList)
        options.clear_options()
        for provider in self._providers.values():
            text = f"{provider.name} {provider.title} {' '.join(provider.hosts)}"
            if query.lower() in text.lower():
                hosts = visible(", ".join(provider.hosts))
                options.add_option(
                    Option(Content(f"{fit(visible(provider.name), 14)} {hosts}"), id=provider.name)
                )
        if options.option_count:
            options.highlighted = 0

    @on(Input.Changed, "#narrow")
    def _narrowed(self, event: Input.Changed) -> None:
        self._list(event.value.strip())

    @on(Input.Submitted, "#narrow")
    def _chosen_by_name(self) -> None:
        self.query_one("#providers", OptionList).action_select()

    def on_key(self, event: object) -> None:
        """Letters typed on the list narrow it: the list needs only arrows and Enter."""
        from textual import events

        if not isinstance(event, events.Key) or not isinstance(self.focused, OptionList):
            return
        if event.character and event.character.isalnum():
            narrow = self.query_one("#narrow", Input)
            narrow.focus()
            narrow.insert_text_at_cursor(event.character)
            event.stop()

    @on(OptionList.OptionSelected, "#providers")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self._give(self._providers[event.option.id or ""])

    def _give(self, provider: ProviderInfo) -> None:
        self._provider, self._found = provider, None
        self.query_one(ContentSwitcher).current = "give"
        what = "Replace a grant" if self._instead_of is not None else "Add a grant"
        self.query_one("#title", Static).update(
            Content(f"{what}: {visible(provider.title or provider.name)}")
        )
        hosts = visible(", ".join(provider.hosts))
        self.query_one("#hosts", Static).update(
            Content(
                f"Sent to {hosts} as {visible(provider.header)}, nowhere else."
                if provider.header
                else "The ARN of a role. Region, duration and policy: moat grant aws --help"
            )
        )
        self._say("")
        value = self.query_one("#value", Input)
        value.clear()
        value.focus()
        self._look(provider)

    @work(group="look", exclusive=True, exit_on_error=False)
    async def _look(self, provider: ProviderInfo) -> None:
        """See whether the value is already on this machine, and offer it."""
        source = self.query_one("#source", Static)
        if provider.sources:
            source.update(Content(f"◌ Looking in {visible(', '.join(provider.sources))}…"))
        try:
            found = await self._face.find_token(provider.name)
        except Exception as error:
            source.update(Content("! " + explain(error)[0]))
            return
        if self._provider is not provider:
            return
        self._found = found
        if found is not None:
            source.update(
                Content(f"✓ Found in {visible(found.source)}: leave the field empty to use that one.")
            )
            self.query_one("#value", Input).placeholder = f"empty: the one from {visible(found.source)}"
        else:
            where = f"None in {visible(', '.join(provider.sources))}. " if provider.sources else ""
            source.update(Content(f"{where}Paste the value here."))
            self.query_one("#value", Input).placeholder = "paste the value: it is not shown"

    @on(Input.Submitted, "#value")
    @on(Input.Submitted, "#profile")
    @on(Button.Pressed, "#save")
    def _asked_to_save(self) -> None:
        self.action_save()

    @on(Button.Pressed, "#back")
    def _asked_back(self) -> None:
        self.action_back()

    def action_back(self) -> None:
        if self._saving:
            self.workers.cancel_group(self, "save")
            self._idle()
            self._say("Not saved.", bad=False)
        elif self._provider is not None and self._instead_of is None:
            self._provider = self._found = None
            self.query_one("#value", Input).clear()
            self.query_one(ContentSwitcher).current = "choose"
            self.query_one("#title", Static).update("Add a grant")
            self._say("")
            self.query_one("#providers").focus()
        else:
            self.dismiss(None)

    def action_toggle_check(self) -> None:
        self.query_one("#check", Tick).toggle()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if action in ("save", "toggle_check") and self._provider is None else True

    def action_save(self) -> None:
        if self._saving or self._provider is None:
            return
        if not self.query_one("#value", Input).value.strip() and self._found is None:
            self._say("Paste the value first.")
            self.query_one("#value").focus()
            return
        self._saving = True
        self.query_one("#save", Button).disabled = True
        self._save(self._provider, self.query_one("#check", Tick).value)

    @work(group="save", exclusive=True, exit_on_error=False)
    async def _save(self, provider: ProviderInfo, check: bool) -> None:
        try:
            saved = await self._check_and_store(provider, check)
        except Exception as error:
            self._say("✗ " + "\n".join(explain(error)))
            self._idle()
            self.query_one("#value").focus()
        else:
            self._found = None
            self.query_one("#value", Input).clear()
            self.dismiss(saved)

    async def _check_and_store(self, provider: ProviderInfo, check: bool) -> GrantInfo:
        typed = self.query_one("#value", Input).value.strip()
        token, source = (
            (typed, "prompt")
            if typed
            else (self._found.value, self._found.source)
            if self._found
            else ("", "")
        )
        account = ""
        if check:
            self._say(
                f"◌ Asking {visible(provider.hosts[0] if provider.hosts else provider.name)}…", bad=False
            )
            account = await self._face.validate(provider.name, token)
        self._say("◌ Storing it encrypted…", bad=False)
        profile = self.query_one("#profile", Input).value.strip()
        return await self._face.save(provider.name, token, source=source, account=account, profile=profile)

    def _idle(self) -> None:
        self._saving = False
        self.query_one("#save", Button).disabled = False

    def _say(self, text: str, *, bad: bool = True) -> None:
        problem = self.query_one("#problem", Static)
        problem.update(Content(text))
        problem.set_class(bool(text), "shown")
        problem.set_class(bad, "bad")
        self.refresh_bindings()
