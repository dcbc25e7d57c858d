"""What a person can do to grants from the screen: add, show, revoke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.grant_rows import label
from moat_tui.screen.models.pieces import Piece
from moat_tui.screen.models.visible import visible
from moat_tui.screen.problems import report

if TYPE_CHECKING:
    from textual.app import App

    from engine import GrantInfo


class GrantsDesk:
    """Its coroutines run in workers of the main screen; add and revoke return whether something changed."""

    def __init__(self, app: App[Any], face: EngineFace) -> None:
        self._app = app
        self._face = face

    async def add(self, instead_of: GrantInfo | None = None) -> bool:
        """instead_of: a grant to give a new value; its provider and profile are not asked for then."""
        from moat_tui.screen.dialogs.add_grant import AddGrantDialog

        saved = await self._app.push_screen_wait(AddGrantDialog(self._face, instead_of=instead_of))
        if saved is None:
            return False
        whose = f" as {visible(saved.account)}" if saved.account else ""
        self._app.notify(f"{label(saved)} is granted{whose}.", markup=False)
        return True

    async def show(self, grant: GrantInfo, lines: list[list[Piece]]) -> None:
        from moat_tui.screen.dialogs.grant_detail import GrantDetail

        await self._app.push_screen_wait(GrantDetail(grant, lines))

    async def revoke(self, grant: GrantInfo) -> bool:
        from moat_tui.screen.dialogs.confirm import ConfirmDialog

        text = (
            "The stored credential is deleted here; runs that already hold this grant keep it until they "
            "end. To make it useless everywhere, revoke it at the service too."
        )
        if not await self._app.push_screen_wait(ConfirmDialog(f"Revoke {label(grant)}?", text, yes="Revoke")):
            return False
        try:
            there = await self._face.revoke(grant.provider, grant.profile)
        except Exception as error:
            report(self._app, f"{label(grant)} was not revoked", error)
            return False
        self._app.notify(
            f"{label(grant)} {'is revoked' if there else 'was not stored any more'}.", markup=False
        )
        return True
