"""Granting a credential that is a value: typed hidden, or from where the provider's tools keep it.

The value lives in the input and in the coroutine that checks and saves it, and in no label, message or log.
"""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING, cast

from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Button, Input, Static

from moat_tui.screen.dialogs.grant_form import GrantForm, Say
from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.form_error import FormError
from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import explain
from moat_tui.screen.widgets.form_fields import FormField
from moat_tui.screen.widgets.ticks import Tick

if TYPE_CHECKING:
    from engine import FoundToken, GrantInfo, ProviderInfo
    from moat_tui.screen.app import MoatApp

_PASTE = "paste the value: it is not shown"
# The tool's last words would be gone with its picture when the screen comes back.
_THEN_WAIT = '"$@"; printf "\\nmoat: copy what it gave you, then press Enter to paste it "; read -r _'


class ValueForm(GrantForm):
    first = "value"

    def __init__(self, face: EngineFace, provider: ProviderInfo, instead_of: GrantInfo | None) -> None:
        super().__init__(face, instead_of)
        self.provider = provider
        self._found: FoundToken | None = None

    @property
    def what(self) -> str:
        return visible(self.provider.title or self.provider.name)

    def compose(self) -> ComposeResult:
        yield Static(Content(self._where()), id="hosts", classes="quiet", markup=False)
        yield Static(id="source", markup=False)
        if self.provider.setup:
            yield Button(f"Run {visible(shlex.join(self.provider.setup))} (^r)", id="setup", compact=True)
        yield FormField("Value", Input(id="value", password=True, compact=True, placeholder=_PASTE))
        yield self.profile_field()
        yield Tick("Ask the service whether it takes the value", True, id="check", compact=True)

    def _where(self) -> str:
        hosts, header = visible(", ".join(self.provider.hosts)), visible(self.provider.header)
        where = (
            f"Sent to {hosts} as {header}, nowhere else."
            if hosts
            else "Each registry gets its own token, and no other host."
        )
        return where + (f" Defined in {visible(self.provider.origin)}." if self.provider.origin else "")

    def on_mount(self) -> None:
        if self.provider.setup:
            self.query_one("#setup").display = self.can_set_up
        self._look()

    @property
    def can_set_up(self) -> bool:
        """Whether the service's own tool is here to make a value, and a terminal for it."""
        app = cast("MoatApp", self.app)
        setup = self.provider.setup
        return bool(setup) and shutil.which(setup[0]) is not None and app.handover.possible(app)

    @on(Button.Pressed, "#setup")
    def _asked_to_set_up(self, event: Button.Pressed) -> None:
        event.stop()
        self.set_up()

    @work(group="setup", exclusive=True, exit_on_error=False)
    async def set_up(self) -> None:
        """Let the service's own tool make a credential; what it prints can then be pasted."""
        app = cast("MoatApp", self.app)
        command = ["sh", "-c", _THEN_WAIT, "sh", *self.provider.setup]
        source = self.query_one("#source", Static)
        try:
            await app.handover.give(
                app, command, os.environ, f"moat: running {shlex.join(self.provider.setup)}"
            )
        except Exception as error:
            source.update(Content("! " + explain(error)[0]))
        else:
            self._look()
        self.query_one("#value").focus()

    @work(group="look", exclusive=True, exit_on_error=False)
    async def _look(self) -> None:
        """See whether the value is already on this machine, and offer it."""
        source = self.query_one("#source", Static)
        if self.provider.sources:
            source.update(Content(f"◌ Looking in {visible(', '.join(self.provider.sources))}…"))
        try:
            found = await self.face.find_token(self.provider.name)
        except Exception as error:
            source.update(Content("! " + explain(error)[0]))
            return
        self._found = found
        value = self.query_one("#value", Input)
        if found is not None:
            source.update(
                Content(f"✓ Found in {visible(found.source)}: leave the field empty to use that one.")
            )
            value.placeholder = f"empty: the one from {visible(found.source)}"
        else:
            where = f"None in {visible(', '.join(self.provider.sources))}. " if self.provider.sources else ""
            source.update(Content(f"{where}Paste the value here."))
            value.placeholder = _PASTE

    async def store(self, say: Say) -> GrantInfo:
        typed, found = self.text("value"), self._found
        if not typed and found is None:
            raise FormError("value", "Paste the value first.")
        token, source = (typed, "prompt") if typed or found is None else (found.value, found.source)
        profile = await self.profile()
        account = ""
        if self.wants_check:
            hosts = self.provider.hosts
            say(f"◌ Asking {visible(hosts[0] if hosts else self.provider.name)}…")
            account = await self.face.validate(self.provider.name, token)
        say("◌ Storing it encrypted…")
        saved = await self.face.save(
            self.provider.name, token, source=source, account=account, profile=profile
        )
        self.forget()
        return saved

    def forget(self) -> None:
        self._found = None
        self.query_one("#value", Input).clear()
