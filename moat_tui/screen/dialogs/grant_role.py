"""Granting an AWS role: which one, for how long, narrowed how. What `moat grant aws` asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.widgets import Input, Static

from moat_tui.screen.dialogs.grant_form import GrantForm, Say
from moat_tui.screen.models.form_error import FormError
from moat_tui.screen.problems import sentence
from moat_tui.screen.widgets.form_fields import FormField
from moat_tui.screen.widgets.ticks import Tick

if TYPE_CHECKING:
    from engine import AwsRole, GrantInfo

# The options of a role -> their fields.
_FIELDS = {
    "arn": "role",
    "region": "region",
    "session_duration": "session-duration",
    "external_id": "external-id",
    "profile": "aws-profile",
}


class RoleForm(GrantForm):
    first = "role"

    @property
    def what(self) -> str:
        return "AWS role"

    def compose(self) -> ComposeResult:
        old = self.instead_of
        kept = {"account": old.account, **old.settings} if old else {}

        def line(title: str, id: str, name: str, placeholder: str) -> FormField:
            return FormField(title, Input(kept.get(name, ""), id=id, compact=True, placeholder=placeholder))

        yield Static(
            "Runs get temporary credentials of it; your own stay here.",
            classes="quiet",
            id="hosts",
            markup=False,
        )
        yield line("Role", "role", "account", "arn:aws:iam::ACCOUNT:role/NAME")
        yield line("Region", "region", "region", "us-east-1")
        yield line("Session duration", "session-duration", "session_duration", "15m; up to 12h")
        yield line("External ID", "external-id", "external_id", "if the role wants one")
        yield line("AWS profile", "aws-profile", "profile", "of ~/.aws, to assume the role with")
        yield line("Policy", "policy", "", "a session policy (JSON file) narrows runs")
        if kept.get("policy"):
            yield Tick("Keep the session policy that is stored", True, id="keep-policy", compact=True)
        yield self.profile_field()
        yield Tick("Assume the role once, to see that it can be", True, id="check", compact=True)

    async def store(self, say: Say) -> GrantInfo:
        role = await self._role()
        profile = await self.profile()
        if self.wants_check:
            say("◌ Assuming the role once…")
            await self.face.assume(role)
        say("◌ Storing it encrypted…")
        return await self.face.save_role(role, profile)

    async def _role(self) -> AwsRole:
        """Raises FormError."""
        from engine import UsageError

        options = {name: self.text(field) for name, field in _FIELDS.items()}
        arn = options.pop("arn")
        try:
            role = await self.face.check_role(arn, options)
        except UsageError as error:
            field = _FIELDS.get(error.field, self.first)
            raise FormError(field, sentence(error)) from None
        file = self.text("policy")
        try:
            policy = await self.face.read_policy(Path(file).expanduser()) if file else self._kept_policy()
        except Exception as error:  # a `~` of nobody too
            raise FormError("policy", sentence(error)) from None
        return await self.face.check_role(arn, options | {"policy": policy}) if policy else role

    def _kept_policy(self) -> str:
        keeps = any(tick.value for tick in self.query("#keep-policy").results(Tick))
        return self.instead_of.settings.get("policy", "") if self.instead_of and keeps else ""
