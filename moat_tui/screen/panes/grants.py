"""Pane 3: the credentials that can be granted to runs; never their values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from moat_tui.screen.models.grant_rows import TITLES, grant_cells, key, widths
from moat_tui.screen.panes.pane import Pane
from moat_tui.screen.theme import ROLE_CLASSES
from moat_tui.screen.widgets.short_table import ShortTable

if TYPE_CHECKING:
    from engine import GrantInfo


class GrantsPane(Pane):
    number = 3
    title = "Grants"
    main = "grants-table"
    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES
    HELP = """
# Grants
A grant lets a run use a credential without holding it. The value is stored encrypted, leaves the
store only inside the proxy, and is never shown here.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "screen.show_grant", "Show", id="grant.show", tooltip="What is stored about this grant"
        ),
        Binding(
            "d,delete",
            "screen.revoke_grant",
            "Revoke",
            id="grant.revoke",
            tooltip="Delete this credential; asks",
        ),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.grants: dict[str, GrantInfo] = {}
        self._names: Mapping[str, str] = {}

    def compose(self) -> ComposeResult:
        yield Static("Looking for grants…", id="grants-empty", classes="empty-state", markup=False)
        yield ShortTable(TITLES, id="grants-table")

    @property
    def table(self) -> ShortTable:
        return self.query_one(ShortTable)

    @property
    def current(self) -> GrantInfo | None:
        return self.grants.get(self.table.current_key)

    def show(self, grants: list[GrantInfo], now: datetime) -> None:
        self.grants = {key(grant): grant for grant in grants}
        self.set_class(bool(grants), "has-rows")
        empty = "No grants yet — press a to add one, or `moat grant github` in a terminal."
        self.query_one("#grants-empty", Static).update(empty)
        self.retitle(str(len(grants)) if grants else "none")
        self.redraw(now)

    def name_runs(self, names: Mapping[str, str]) -> None:
        """Run id to name, for "last used by"."""
        self._names = names

    def redraw(self, now: datetime) -> None:
        self.table.show([(name, grant_cells(grant, self._names, now)) for name, grant in self.grants.items()])

    def recolour(self) -> None:
        self.table.recolour()

    def on_resize(self, event: events.Resize) -> None:
        self.table.lay_out(widths(self.content_size.width - 1))
