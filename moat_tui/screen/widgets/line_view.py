"""A live list of one-line items over a bounded store, drawn line by line (Textual's Line API).

It follows its end until the reader goes up, then shows how many lines have come since; End follows
again. Lines are cached by the item's number, never by its place, so that dropping old ones is free.
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from moat_tui.screen.models.following import Following, Standing
from moat_tui.screen.models.store import BoundedStore, Lines
from moat_tui.screen.theme import ROLE_CLASSES, role_style

MOST_SELECTED = 5_000  # lines that one selection may copy


class LineView[Item](ScrollView, can_focus=True):
    """Subclasses give `segments` (one item as styled text) and may turn on a cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES | {"line-view--cursor", "line-view--pill"}
    BINDING_GROUP_TITLE = "In the list"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "line_up", "Up", show=False, id="lines.up", tooltip="One line up; stops following"),
        Binding("down,j", "line_down", "Down", show=False, id="lines.down", tooltip="One line down"),
        Binding("pageup,ctrl+b", "page_up", "Page up", show=False, id="lines.page-up", tooltip="One page up"),
        Binding(
            "pagedown,ctrl+f,space",
            "page_down",
            "Page down",
            show=False,
            id="lines.page-down",
            tooltip="One page down",
        ),
        Binding("home,g", "first", "Start", show=False, id="lines.first", tooltip="To the oldest line"),
        Binding(
            "end,G", "follow", "Follow", show=False, id="lines.follow", tooltip="To the end, and stay there"
        ),
        Binding("left,h", "scroll_left", "Left", show=False, id="lines.left", tooltip="Scroll left"),
        Binding("right,l", "scroll_right", "Right", show=False, id="lines.right", tooltip="Scroll right"),
    ]
    margin = 0  # cells at the left of a line that are not its text, and not copied
    ALLOW_MAXIMIZE = False  # the pane around it is what is enlarged

    class FollowChanged(Message):
        """It began or stopped following, or the number of unseen lines changed."""

        def __init__(self, view: LineView[object], word: str) -> None:
            super().__init__()
            self.view = view
            self.word = word

        @property
        def control(self) -> LineView[object]:
            return self.view

    class Opened(Message):
        """A double click on an item of a list with a cursor. (Enter is a binding of the pane.)"""

        def __init__(self, view: LineView[object], item: object) -> None:
            super().__init__()
            self.view = view
            self.item = item

        @property
        def control(self) -> LineView[object]:
            return self.view

    def __init__(self, store: Lines[Item], *, cursor: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.store = store
        self.follow = Following()
        self.empty: tuple[str, ...] = ()
        self._has_cursor = cursor
        self._cursor = 0  # the item's number, not its place
        self._strips: LRUCache[tuple[object, ...], Strip] = LRUCache(2048)
        self._settling = False  # we are moving the view ourselves

    # What a subclass says

    def state(self, number: int) -> object:
        """What changes how this line looks although its number stays; part of the cache's key."""
        return None

    def segments(self, item: Item, width: int) -> list[Segment]:
        raise NotImplementedError

    def variant(self) -> object:
        """What, besides the item and the width, changes how a line looks; part of the cache's key."""
        return None

    # What the owner does

    def replace(self, items: Iterable[Item]) -> None:
        """Show these instead, from their end."""
        self._own_store.clear()
        self._strips.clear()
        self.follow.resume()
        self.append(items)

    def append(self, items: Iterable[Item]) -> None:
        """Add new lines. Whoever reads further up keeps the lines they are reading."""
        store = self._own_store
        before = store.dropped + len(store)
        dropped = store.extend(items)
        self._cursor = max(self._cursor, store.dropped)
        self.grew(at_start=-dropped, at_end=store.dropped + len(store) - before)

    @property
    def _own_store(self) -> BoundedStore[Item]:
        if not isinstance(self.store, BoundedStore):
            raise TypeError("only a BoundedStore is filled through its view")
        return self.store

    def grew(self, *, at_start: int = 0, at_end: int = 0) -> None:
        """The store has that many lines more (or fewer) at its ends; what is being read stays in view."""
        self.follow.arrived(at_end)
        self._settle(max(0, self.scroll_offset.y + at_start))
        self.refresh()
        self._say()

    def standing(self) -> Standing:
        """Where the reader is now."""
        top = int(self.scroll_offset.y)
        above = self.store.number(top) if top < len(self.store) else 0
        return Standing(self._cursor, above, self.follow)

    def stand(self, store: Lines[Item], at: Standing) -> None:
        """Show another store, at the place where the reader was in it."""
        self.store, self.follow, self._cursor = store, at.follow, at.cursor
        self._strips.clear()
        self._settle(store.place(at.top) if len(store) else 0)
        self.refresh()
        self._say()

    def forget(self) -> None:
        """Numbers mean other items from now on, or items look different."""
        self._strips.clear()

    def rearranged(self, *, follow: bool) -> None:
        """The store shows other lines or another order: stand at its end, or where the cursor's line is."""
        if follow:
            self.follow.resume()
        else:
            self.follow.release()
        place = self.store.place(self._cursor)
        if len(self.store):
            self._cursor = self.store.number(place)
        self._settle(max(0, place - self.size.height // 2))
        self.refresh()
        self._say()

    @property
    def place(self) -> int:
        """Where the cursor is; 0 in an empty list."""
        return self.store.place(self._cursor)

    @property
    def current(self) -> Item | None:
        """The item under the cursor."""
        return self.store[self.place] if self._has_cursor and len(self.store) else None

    def show_place(self, place: int) -> None:
        """Bring a line (0 the oldest kept) into view and stop following."""
        self._release()
        self._settle(max(0, place - self.size.height // 2))
        self._cursor = self.store.number(place)
        self.refresh()
        self._say()

    # Following

    def _settle(self, top: int | None = None) -> None:
        """Fit the scrollable area to the store, then stand at the end or at line `top`."""
        self._settling = True
        try:
            self.virtual_size = Size(self.line_width(), len(self.store))
            if self.follow.on:
                self._cursor = self.store.number(len(self.store) - 1) if len(self.store) else 0
                self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)
            elif top is not None:
                self.scroll_to(y=top, animate=False, immediate=True, force=True)
            if self.show_vertical_scrollbar:
                # Textual moves the bar only when the place changes, not when the lines beside it do.
                self._scroll_update(self.virtual_size)
                self.vertical_scrollbar.position = self.scroll_y
        finally:
            self._settling = False

    def line_width(self) -> int:
        """Columns that can be scrolled over; a list that fits its width says its width."""
        return self.scrollable_content_region.width

    def _release(self) -> None:
        if self.follow.on:
            self.follow.release()
            self._say()

    def _say(self) -> None:
        self.post_message(LineView.FollowChanged(self, self.follow.word))  # type: ignore[arg-type]

    def on_resize(self) -> None:
        self._settle()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        if shown:  # as in `_settle`: it comes with the place of the list that it was last shown for
            self.vertical_scrollbar.position = self.scroll_y

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self._settling or not self.is_mounted:
            return
        # The wheel or the scrollbar moved it: going up releases, reaching the end follows again.
        if new_value < old_value and new_value < self.max_scroll_y:
            self._release()
        elif new_value > old_value and new_value >= self.max_scroll_y and not self.follow.on:
            self.action_follow()

    # Keys

    def action_line_up(self) -> None:
        self._move(-1)

    def action_line_down(self) -> None:
        self._move(1)

    def action_page_up(self) -> None:
        self._move(-max(1, self.size.height - 1))

    def action_page_down(self) -> None:
        self._move(max(1, self.size.height - 1))

    def action_first(self) -> None:
        self._move(-len(self.store))

    def action_follow(self) -> None:
        self.follow.resume()
        self._settle()
        self.refresh()
        self._say()

    def _move(self, lines: int) -> None:
        """Move the cursor, or without one the view. Up always releases, down to the end follows."""
        if not len(self.store):
            return
        if lines < 0:
            self._release()
        last = len(self.store) - 1
        if self._has_cursor:
            place = min(last, max(0, self.place + lines))
            self._cursor = self.store.number(place)
            top, height = self.scroll_offset.y, max(1, self.size.height)
            self._settle(min(max(top, place - height + 1), place))
            at_end = place == last
        else:
            top = self.scroll_offset.y + lines
            self._settle(max(0, min(top, int(self.max_scroll_y))))
            at_end = top >= self.max_scroll_y
        if lines > 0 and at_end and not self.follow.on:
            self.action_follow()
        self.refresh()

    def open_current(self) -> None:
        if self.current is not None:
            self.post_message(LineView.Opened(self, self.current))  # type: ignore[arg-type]

    def on_click(self, event: events.Click) -> None:
        if self.follow.pill and event.y == self.size.height - 1:
            self.action_follow()
            return
        place = self.scroll_offset.y + event.y
        if self._has_cursor and 0 <= place < len(self.store):
            if place < len(self.store) - 1:
                self._release()
            self._cursor = self.store.number(place)
            self.refresh()
            if event.chain == 2:
                self.open_current()

    # Drawing

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        place = self.scroll_offset.y + y
        if not len(self.store):
            strip = self._empty_line(y, width, base)
        elif place >= len(self.store):
            strip = Strip.blank(width, base)
        else:
            left = self.scroll_offset.x
            strip = self._line(place, base).crop_extend(left, left + width, base)
            strip = strip.apply_offsets(left, place)
        pill = self.follow.pill
        if pill and y == self.size.height - 1:
            style = self.get_component_rich_style("line-view--pill")
            room = max(0, width - cell_len(pill))
            strip = Strip.join([strip.crop(0, room), Strip([Segment(pill, style)], cell_len(pill))])
        return strip

    def _line(self, place: int, base: Style) -> Strip:
        number = self.store.number(place)
        selected = self._has_cursor and number == self._cursor
        # Not content_size: the width that lines are laid out for must be the one the heading uses.
        width = self.scrollable_content_region.width
        selection = self.text_selection
        marked = selection.get_span(place) if selection is not None else None
        looks = (self.variant(), self.state(number))
        key = (number, width, selected, selected and self.has_focus, marked, *looks)
        strip = self._strips.get(key)
        if strip is None:
            segments = self.segments(self.store[place], width)
            if selected:
                base = base + Style(bgcolor=self.get_component_rich_style("line-view--cursor").bgcolor)
            strip = Strip(list(Segment.apply_style(segments, base)))
            if selected:
                strip = strip.adjust_cell_length(max(width, strip.cell_length), base)
            if marked is not None:
                strip = self._mark_selection(strip, marked)
            self._strips[key] = strip
        return strip

    def _mark_selection(self, strip: Strip, span: tuple[int, int]) -> Strip:
        start, end = span
        end = strip.cell_length if end == -1 else min(end, strip.cell_length)
        if start >= end:
            return strip
        style = self.screen.get_component_rich_style("screen--selection")
        if not self.screen.get_component_styles("screen--selection").color.a:
            # As in most themes: the text keeps its own colour. Rich has no transparent one.
            style = Style(bgcolor=style.bgcolor)
        inside = Strip(
            [Segment(part.text, (part.style or Style.null()) + style) for part in strip.crop(start, end)]
        )
        return Strip.join([strip.crop(0, start), inside, strip.crop(end, strip.cell_length)])

    def _empty_line(self, y: int, width: int, base: Style) -> Strip:
        lines = [part for line in self.empty for part in wrap(line, max(10, width - 4)) or [""]]
        first = max(0, (self.size.height - len(lines)) // 2)
        if not first <= y < first + len(lines):
            return Strip.blank(width, base)
        text = lines[y - first]
        indent = max(0, (width - cell_len(text)) // 2)
        strip = Strip([Segment(" " * indent, base), Segment(text, base + role_style(self, "dim"))])
        return strip.crop_extend(0, width, base)

    # Selecting text with the mouse

    @property
    def allow_select(self) -> bool:
        return True

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text. Only selected lines are looked at: there may be a million others."""
        width = self.scrollable_content_region.width
        first = selection.start.y if selection.start is not None else 0
        last = selection.end.y if selection.end is not None else len(self.store) - 1
        places = range(max(0, first), min(last + 1, len(self.store), max(0, first) + MOST_SELECTED))
        if not places:
            return None
        lines = []
        for place in places:
            text = "".join(part.text for part in self.segments(self.store[place], width)).rstrip()
            start = selection.start.x if selection.start is not None and place == first else 0
            end = selection.end.x if selection.end is not None and place == last else len(text)
            lines.append(text[max(start, self.margin) : end])
        return "\n".join(lines), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh(Region(0, 0, *self.size))
