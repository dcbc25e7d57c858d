"""Pane 3: the credentials that can be granted to runs; never their values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from moat_tui.screen.models.grant_rows import (
    TITLES,
    grant_cells,
    grant_report,
    key,
    live_users,
    uses_by_run,
    widths,
)
from moat_tui.screen.models.limits_left import left_of
from moat_tui.screen.models.pieces import PLAIN, Piece
from moat_tui.screen.models.visible import visible
from moat_tui.screen.panes.pane import Pane
from moat_tui.screen.theme import ROLE_CLASSES
from moat_tui.screen.widgets.short_table import ShortTable

if TYPE_CHECKING:
    from engine import GrantInfo, GrantUse, RunInfo


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
            "r",
            "screen.replace_grant",
            "Replace",
            id="grant.replace",
            tooltip="Store a new value for this grant",
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
        self._runs: Mapping[str, RunInfo] = {}
        self._names: Mapping[str, str] = {}
        self._uses: Mapping[str, Mapping[str, GrantUse]] = {}
        self._graphs: dict[str, list[int]] | None = None  # by grant; None: to be made again

    def compose(self) -> ComposeResult:
        yield Static("Looking for grants…", id="grants-empty", classes="empty-state", markup=False)
        yield ShortTable(TITLES, id="grants-table")

    @property
    def table(self) -> ShortTable:
        return self.query_one(ShortTable)

    @property
    def current(self) -> GrantInfo | None:
        return self.grants.get(self.table.current_key)

    def show(
        self,
        grants: list[GrantInfo],
        now: datetime,
        uses: Mapping[str, Mapping[str, GrantUse]] | None = None,
    ) -> None:
        """uses: run id -> grant -> how often the run has used it."""
        self._uses = uses or {}
        self._graphs = None
        self.grants = {key(grant): grant for grant in grants}
        self.set_class(bool(grants), "has-rows")
        empty = "No grants yet — press a to add one, or `moat grant github` in a terminal."
        self.query_one("#grants-empty", Static).update(empty)
        self.retitle(str(len(grants)) if grants else "none")
        self.redraw(now)

    def know_runs(self, runs: Mapping[str, RunInfo]) -> None:
        """Run id to run, for who used a grant and who uses it now."""
        if runs.keys() != self._runs.keys():
            self._graphs = None
        self._runs = runs
        self._names = {run.id: run.name for run in runs.values()}

    def report(self, grant: GrantInfo, now: datetime) -> list[list[Piece]]:
        """All about one grant, as lines of (text, role)."""
        from engine import grant_provider

        uses = uses_by_run(grant, self._runs.values(), self._uses)
        users = live_users(grant, self._runs.values())
        left = [
            [(f"{visible(run.name)}: ", PLAIN), *pieces]
            for run in users
            for text, pieces in left_of(run, self._uses.get(run.id, {}), now).items()
            if grant_provider(text) == grant.provider
        ]
        return grant_report(grant, self._names, now, uses, users, left)

    def redraw(self, now: datetime) -> None:
        if self._graphs is None:  # it looks at every run, and this is called every second
            self._graphs = {
                name: uses_by_run(grant, self._runs.values(), self._uses)
                for name, grant in self.grants.items()
            }
        graphs = self._graphs
        self.table.show(
            [
                (name, grant_cells(grant, self._names, now, graphs[name]))
                for name, grant in self.grants.items()
            ]
        )

    def recolour(self) -> None:
        self.table.recolour()

    def on_resize(self, event: events.Resize) -> None:
        self.table.lay_out(widths(self.content_size.width - 1))
