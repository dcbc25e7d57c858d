"""Giving a run less than a whole grant: one of its scopes, and limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Input, Select, Static

from moat_tui.screen.dialogs.form import FormDialog
from moat_tui.screen.models.form_error import FormError
from moat_tui.screen.models.narrowing import FIELDS, narrow_fields, narrowed
from moat_tui.screen.models.visible import visible
from moat_tui.screen.widgets.form_fields import FormField

_ALL = "all of it"
_TITLES = {"methods": "Methods", "paths": "Paths", "max_requests": "Requests", "expires_in": "Expires in"}
_PLACEHOLDERS = {
    "methods": "any; e.g. GET HEAD",
    "paths": "any; e.g. /repos/me/** /user",
    "max_requests": "any number; e.g. 100, of one run",
    "expires_in": "never; e.g. 90s, 30m, 1h, 2d from the start",
}


class NarrowGrantDialog(FormDialog[str | None]):
    """grant: as it is given now. scopes: names that its provider has. Gives the grant's new text."""

    YES = "Use (^s)"
    AUTO_FOCUS = "Select, Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Cancel", id="narrow.cancel", tooltip="Leave the grant as it is"),
        Binding("ctrl+s", "use", "Use", priority=True, id="narrow.use", tooltip="Give the grant like this"),
    ]

    def __init__(self, grant: str, scopes: Sequence[str]) -> None:
        super().__init__()
        from engine import grant_provider

        self._provider = grant_provider(grant)
        self._fields = narrow_fields(grant)
        self._scopes = scopes

    def compose_fields(self) -> ComposeResult:
        if self._scopes:
            scope = self._fields["scope"]
            names = [*self._scopes, *([scope] if scope and scope not in self._scopes else [])]
            choices = [(_ALL, ""), *((visible(name), name) for name in names)]
            yield FormField(
                "Scope", Select(choices, value=scope, allow_blank=False, id="scope", compact=True)
            )
        for name in FIELDS:
            yield FormField(
                _TITLES[name],
                Input(
                    self._fields[name],
                    id=name.replace("_", "-"),
                    compact=True,
                    placeholder=_PLACEHOLDERS[name],
                ),
            )
        yield Static(id="text", classes="quiet", markup=False)

    def on_mount(self) -> None:
        self.retitle(f"Limit {visible(self._provider)} for this run")
        self._show_text()

    def _text(self) -> str:
        """Raises FormError."""
        scopes = self.query("#scope").results(Select)
        scope = next((str(select.value) for select in scopes), self._fields["scope"])
        typed = {name: self.query_one(f"#{name.replace('_', '-')}", Input).value for name in FIELDS}
        return narrowed(self._provider, scope, typed)

    @on(Input.Changed)
    @on(Select.Changed)
    def _show_text(self) -> None:
        """What a command line or agent.yaml would say for it."""
        try:
            text = f"-g '{self._text()}'"
        except FormError:
            text = "…"
        self.query_one("#text", Static).update(Content(visible(text)))

    @on(Input.Submitted)
    @on(Button.Pressed, "#yes")
    def action_use(self) -> None:
        self.fields.all_right()
        try:
            self.dismiss(self._text())
        except FormError as error:
            self.complain(error)

    @on(Button.Pressed, "#no")
    def action_close(self) -> None:
        self.dismiss(None)
