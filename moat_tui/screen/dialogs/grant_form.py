"""What the forms of all kinds of grants have: where they are put, and what they do when they are saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.widgets import Input

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.form_error import FormError
from moat_tui.screen.problems import sentence
from moat_tui.screen.widgets.form_fields import FormField
from moat_tui.screen.widgets.ticks import Tick

if TYPE_CHECKING:
    from engine import GrantInfo

type Say = Callable[[str], None]
"""Shows what goes on; the text is already made visible."""


class GrantForm(Vertical):
    """instead_of: the stored grant that is replaced; what names it cannot be changed then."""

    first = ""  # the id of the field to begin with

    def __init__(self, face: EngineFace, instead_of: GrantInfo | None) -> None:
        super().__init__(classes="grant-form")
        self.face = face
        self.instead_of = instead_of

    @property
    def what(self) -> str:
        """What is granted, for the heading; made visible."""
        raise NotImplementedError

    async def store(self, say: Say) -> GrantInfo:
        """Check what is in the fields, and store it. Raises FormError or MoatError; the fields stay."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drop what may not stay in memory when the form is left."""

    def text(self, field: str) -> str:
        return self.query_one(f"#{field}", Input).value.strip()

    def profile_field(self) -> FormField:
        old = self.instead_of
        return FormField(
            "Profile",
            Input(
                old.profile if old else "",
                id="profile",
                compact=True,
                disabled=old is not None,
                placeholder="empty: the default one",
            ),
        )

    async def profile(self) -> str:
        name = self.text("profile")
        try:
            await self.face.check_profile(name)
        except Exception as error:
            raise FormError("profile", sentence(error)) from None
        return name

    @property
    def wants_check(self) -> bool:
        """Whether to try it before it is stored."""
        return any(tick.value for tick in self.query("#check").results(Tick))
