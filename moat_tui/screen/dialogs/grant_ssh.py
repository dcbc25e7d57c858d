"""Granting an SSH host: which one, with which of the person's keys. What `moat grant ssh` asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, Select, Static

from moat_tui.screen.dialogs.confirm import ConfirmDialog
from moat_tui.screen.dialogs.grant_form import GrantForm, Say
from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.form_error import FormError
from moat_tui.screen.models.moments import plural
from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import sentence
from moat_tui.screen.widgets.form_fields import FormField

if TYPE_CHECKING:
    from engine import GrantInfo, SshKey, SshOffer


class SshForm(GrantForm):
    def __init__(self, face: EngineFace, instead_of: GrantInfo | None) -> None:
        super().__init__(face, instead_of)
        self.first = "key" if instead_of else "host"
        self._keys: tuple[SshKey, ...] = ()

    @property
    def what(self) -> str:
        return "SSH host"

    def compose(self) -> ComposeResult:
        old = self.instead_of
        yield Static(
            "Runs log in there and nowhere else; keys stay in your SSH agent.",
            classes="quiet",
            id="hosts",
            markup=False,
        )
        host = Input(
            _place(old) if old else "",
            id="host",
            compact=True,
            disabled=old is not None,
            placeholder="HOST or HOST:PORT, e.g. github.com",
        )
        yield FormField("Host", host)
        keys: Select[str] = Select([], id="key", compact=True, prompt="which key shall log in there?")
        yield FormField("Key", keys)
        yield Static(id="key-shown", classes="quiet", markup=False)
        yield self.profile_field()

    def on_mount(self) -> None:
        self._list_keys()

    @work(group="keys", exclusive=True, exit_on_error=False)
    async def _list_keys(self) -> None:
        try:
            await self._ask_agent()
        except FormError as error:
            self._tell_of_keys(f"✗ {str(error).removesuffix('.')}. Save looks again.")

    async def _ask_agent(self) -> None:
        """Offer what the agent holds. Raises FormError when that is nothing."""
        self._tell_of_keys("◌ Asking your SSH agent for its keys…")
        try:
            self._keys = await self.face.ssh_keys()
        except Exception as error:
            self._keys = ()
            raise FormError("key", sentence(error)) from None
        keys = self.query_one("#key", Select)
        keys.set_options([(Content(_in_short(key)), key.fingerprint) for key in self._keys])
        had = self.instead_of.account if self.instead_of else ""
        if len(self._keys) == 1:
            keys.value = self._keys[0].fingerprint
        elif had in {key.fingerprint for key in self._keys}:
            keys.value = had
        else:
            self._tell_of_keys(f"Your SSH agent holds {plural(len(self._keys), 'key')}.")

    @on(Select.Changed, "#key")
    def _key_chosen(self, event: Select.Changed) -> None:
        chosen = next((key for key in self._keys if key.fingerprint == event.value), None)
        if chosen is not None:
            self._tell_of_keys(f"{chosen.fingerprint}")

    def _tell_of_keys(self, text: str) -> None:
        self.query_one("#key-shown", Static).update(Content(visible(text)))

    async def store(self, say: Say) -> GrantInfo:
        host = self.text("host")
        if not host:
            raise FormError("host", "Name the server, e.g. github.com.")
        if not self._keys:
            await self._ask_agent()
        key = self.query_one("#key", Select).value
        if not isinstance(key, str):
            raise FormError("key", f"Your SSH agent holds {plural(len(self._keys), 'key')}: choose one.")
        profile = await self.profile()
        say(f"◌ Looking for the host keys of {visible(host)}…")
        try:
            offer = await self.face.find_ssh(host)
        except Exception as error:
            raise FormError("host", sentence(error)) from None
        if not offer.pinned and not await self._agreed(offer):
            raise FormError("host", "Nothing was granted: the server's keys were not agreed to.")
        say("◌ Storing it…")
        return await self.face.save_ssh(offer, key, profile)

    async def _agreed(self, offer: SshOffer) -> bool:
        """Put the keys of a host that is in no known_hosts to a person; nothing is pinned unseen."""
        shown = "\n".join(f"{visible(key.kind)}\n  {visible(key.fingerprint)}" for key in offer.host_keys)
        title = f"{visible(offer.host)} is not in your known_hosts"
        text = f"It shows:\n\n{shown}\n\nIs that what its owner says?"
        return await self.app.push_screen_wait(ConfirmDialog(title, text, yes="Yes"))


def _place(grant: GrantInfo) -> str:
    """HOST, or HOST:PORT where the port is another than SSH's own."""
    host, port = grant.provider.removeprefix("ssh:"), grant.settings.get("port", "22")
    return host if port == "22" else f"{host}:{port}"


def _in_short(key: SshKey) -> str:
    return "  ".join(visible(part) for part in (key.comment, key.kind, key.fingerprint) if part)
