"""Pane 1: every run, newest first, and what the selected one is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable, Static

from moat_tui.screen.models.activity import Activities
from moat_tui.screen.models.limits_left import left_line
from moat_tui.screen.models.run_rows import TITLES, about, headline, run_cells, widths
from moat_tui.screen.panes.pane import Pane
from moat_tui.screen.theme import ROLE_CLASSES, text_of_lines
from moat_tui.screen.widgets.short_table import ShortTable

if TYPE_CHECKING:
    from engine import GrantUse, RunInfo

SHOWN = 300
"""Most rows drawn: the newest ones and the selected one. `moat list` prints all."""


class RunsPane(Pane):
    number = 1
    title = "Runs"
    main = "runs-table"
    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES
    HELP = """
# Runs
Every run of this home, newest first. The other panes show the selected one.

A run belongs to its own supervisor: it goes on when this screen closes.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter,o",
            "screen.open_output",
            "Output",
            id="run.output",
            tooltip="Open the output of the selected run",
        ),
        Binding(
            "t",
            "screen.open_terminal",
            "Terminal",
            id="run.terminal",
            tooltip="Attach to an interactive run, or open a shell in any other",
        ),
        Binding(
            "T",
            "screen.open_shell",
            "Shell",
            show=False,
            id="run.shell",
            tooltip="Open a shell in the selected run",
        ),
        Binding("x", "screen.stop_run", "Stop", id="run.stop", tooltip="Stop the selected run; asks first"),
        Binding(
            "r",
            "screen.start_again",
            "Again",
            show=False,  # the footer of 80 columns is full
            id="run.again",
            tooltip="Start a run like the selected one; opens the form, filled in",
        ),
        Binding(
            "n",
            "screen.rename_run",
            "Rename",
            show=False,
            id="run.rename",
            tooltip="Give the selected run another name",
        ),
        Binding(
            "d,delete",
            "screen.destroy_run",
            "Destroy",
            show=False,
            id="run.destroy",
            tooltip="Remove an ended run with its logs and its audit log; asks first",
        ),
        Binding(
            "w",
            "screen.open_workspace",
            "Workspace",
            show=False,
            id="run.workspace",
            tooltip="Show the workspace in the file manager, or copy its path",
        ),
    ]

    class Selected(Message):
        """The run under the cursor changed; `run_id` is empty when there are no runs."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.runs: dict[str, RunInfo] = {}
        self.selected = ""
        self.waiting: Mapping[str, int] = {}  # run id -> requests that wait for a person's answer
        self._requests: Mapping[str, int] = {}
        self._activities = Activities()
        self._now: datetime | None = None
        self._uses: Mapping[str, Mapping[str, GrantUse]] = {}
        self._home = os.path.expanduser("~")
        self._awaited = ""  # a run to select that is not in the list yet
        self._stand_in = ""  # the row the cursor is on meanwhile, through nobody's choice

    def compose(self) -> ComposeResult:
        yield Static("Looking for runs…", id="runs-empty", classes="empty-state", markup=False)
        yield ShortTable(TITLES, id="runs-table")
        yield Static(id="runs-about", markup=False)

    @property
    def current(self) -> RunInfo | None:
        """The run under the cursor. Its message may still be on its way: a key that came in the same burst
        as the one that moved the cursor means the row that is marked now.
        """
        if self.table.current_key != self.selected:
            self._follow_cursor()
        return self.runs.get(self.selected)

    @property
    def table(self) -> ShortTable:
        return self.query_one(ShortTable)

    def show(
        self,
        runs: list[RunInfo],
        requests: Mapping[str, int],
        now: datetime,
        recent: Mapping[str, list[str]] | None = None,
    ) -> None:
        """recent: when runs that are new here made their latest requests."""
        self.runs = {run.id: run for run in runs}
        self._requests = requests
        for run_id, moments in (recent or {}).items():
            self._activities.seed(run_id, moments, now)
        self._activities.seen(requests.items(), now)
        self.set_class(bool(runs), "has-rows")
        empty = "No runs yet — press s to start one, or `moat run` in a terminal."
        self.query_one("#runs-empty", Static).update(empty)
        self.retitle(headline(runs))
        hidden = len(runs) - SHOWN
        self.subtitle(f"{hidden:,} older: moat list" if hidden > 0 else "")
        self.redraw(now)
        if self._awaited:
            self._await(self._awaited)
        self._follow_cursor()

    def redraw(self, now: datetime) -> None:
        """Draw what depends on the time again."""
        self._now = now
        shown = [
            run for place, run in enumerate(self.runs.values()) if place < SHOWN or run.id == self.selected
        ]
        self.table.show(
            [
                (
                    run.id,
                    run_cells(
                        run,
                        self._requests.get(run.id),
                        now,
                        self._activities.graph(run.id, now),
                        waiting=self.waiting.get(run.id, 0),
                    ),
                )
                for run in shown
            ],
            self.selected,
        )
        self._describe()  # of a limit in time less is left

    def know_uses(self, uses: Mapping[str, Mapping[str, GrantUse]]) -> None:
        """Run id -> grant -> how often the run has used it."""
        self._uses = uses
        self._describe()

    def select(self, run_id: str) -> None:
        """Put the cursor on this run, now or when it first shows up."""
        self.selected = run_id
        self._await(run_id)
        self.table.move_to(run_id)
        self._tell()

    def _await(self, run_id: str) -> None:
        self._awaited = "" if run_id in self.runs else run_id
        self._stand_in = self.table.current_key

    def _follow_cursor(self) -> None:
        key = self.table.current_key
        if self._awaited and key == self._stand_in:
            return
        self._awaited = ""
        if key != self.selected and (key or not self.runs):
            self.selected = key
            self._tell()
        else:
            self._describe()

    def _tell(self) -> None:
        self._describe()
        self.post_message(RunsPane.Selected(self.selected))

    def _describe(self) -> None:
        """One line about the run; a second one while it has grants that are limited."""
        run = self.runs.get(self.selected)
        if run is None or self._now is None:
            self.query_one("#runs-about", Static).update("")
            return
        left = left_line(run, self._uses.get(run.id, {}), self._now)
        lines = [about(run, self._home), *([left] if left else [])]
        self.query_one("#runs-about", Static).update(text_of_lines(self, lines))

    def recolour(self) -> None:
        self.table.recolour()
        self._describe()

    def on_resize(self, event: events.Resize) -> None:
        self.table.lay_out(widths(self.content_size.width - 1))

    @on(DataTable.RowHighlighted)
    def _cursor_moved(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        if event.row_key.value == self.table.current_key:
            self._follow_cursor()
