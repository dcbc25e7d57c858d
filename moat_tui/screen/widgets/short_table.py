"""A DataTable for a short list whose rows change in place: the cursor stays on its row's key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable
from textual.widgets.data_table import CellDoesNotExist, ColumnKey, RowKey

from moat_tui.screen.models.pieces import Piece, fit
from moat_tui.screen.theme import ROLE_CLASSES, text_of

type Row = tuple[str, tuple[Piece, ...]]


class ShortTable(DataTable[object], inherit_bindings=False):
    """Rows come whole, as (key, cells); only what differs from the last time is drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES
    BINDING_GROUP_TITLE = "In the list"
    # DataTable's own are left out: its Enter would hide that of the pane, which says what Enter does.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor_up", "Up", show=False, id="table.up", tooltip="One row up"),
        Binding("down,j", "cursor_down", "Down", show=False, id="table.down", tooltip="One row down"),
        Binding("pageup,ctrl+b", "page_up", "Page up", show=False, id="table.page-up", tooltip="One page up"),
        Binding(
            "pagedown,ctrl+f",
            "page_down",
            "Page down",
            show=False,
            id="table.page-down",
            tooltip="One page down",
        ),
        Binding("home,g", "scroll_top", "First", show=False, id="table.first", tooltip="To the first row"),
        Binding("end,G", "scroll_bottom", "Last", show=False, id="table.last", tooltip="To the last row"),
    ]

    class Opened(Message):
        """A double click on the row with `key`. (Enter is a binding of the pane.)"""

        def __init__(self, table: ShortTable, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> ShortTable:
            return self.table

    def __init__(self, titles: Sequence[str], *, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=1)
        self._titles = tuple(titles)
        self._shown: list[Row] = []
        self._columns_are: tuple[int, ...] = ()

    @property
    def current_key(self) -> str:
        """The key of the row under the cursor, empty when there is none."""
        if not self._shown or not 0 <= self.cursor_row < len(self._shown):
            return ""
        return self._shown[self.cursor_row][0]

    def lay_out(self, widths: tuple[int, ...]) -> None:
        """Make the columns this wide; 0 leaves one out. Rows are drawn again, because they are cut to fit."""
        if widths == self._columns_are:
            return
        rows, key = self._shown, self.current_key
        self._columns_are = widths
        self.clear(columns=True)
        self._shown = []
        for title, width in zip(self._titles, widths, strict=True):
            if width:
                self.add_column(title, width=width, key=title)
        self.show(rows, key)

    def show(self, rows: list[Row], key: str = "") -> None:
        """Show these rows. The cursor goes to `key`, else stays on the row it was on."""
        if not self._columns_are:  # not laid out yet: keep them for `lay_out`
            self._shown = rows
            return
        wanted = key or self.current_key
        if [row[0] for row in rows] == [row[0] for row in self._shown]:
            self._update(rows)
        else:
            self._rebuild(rows)
        self._shown = rows
        self.move_to(wanted)

    def move_to(self, key: str) -> bool:
        """Put the cursor on the row with this key; False when it is not there."""
        for place, (row_key, _) in enumerate(self._shown):
            if row_key == key:
                if self._columns_are and self.cursor_row != place:
                    self.move_cursor(row=place, animate=False)
                return True
        return False

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2 and self.current_key:
            self.post_message(ShortTable.Opened(self, self.current_key))

    def recolour(self) -> None:
        """The theme has changed: the colours in the cells are those of the old one."""
        if self._columns_are:
            key = self.current_key
            self._rebuild(self._shown)
            self.move_to(key)

    def _update(self, rows: list[Row]) -> None:
        for (key, old), (_, new) in zip(self._shown, rows, strict=True):
            for title, width, was, piece in zip(self._titles, self._columns_are, old, new, strict=True):
                if was != piece and width:
                    self._set(key, title, piece, width)

    def _set(self, key: str, title: str, piece: Piece, width: int) -> None:
        try:
            self.update_cell(RowKey(key), ColumnKey(title), text_of(self, (_cut(piece, width),)))
        except CellDoesNotExist:  # pragma: no cover - rows and table are kept together
            return

    def _rebuild(self, rows: list[Row]) -> None:
        with self.app.batch_update(), self.prevent(DataTable.RowHighlighted):
            self.clear()
            for key, cells in rows:
                shown = (
                    text_of(self, (_cut(piece, width),))
                    for piece, width in zip(cells, self._columns_are, strict=True)
                    if width
                )
                self.add_row(*shown, key=key)


def _cut(piece: Piece, width: int) -> Piece:
    return fit(piece[0], width), piece[1]
