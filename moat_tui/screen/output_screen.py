"""What a run's agent printed: following, searchable, in its own colours and nothing else of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, Static

from moat_tui.screen.leaving import LeftOnce
from moat_tui.screen.models.ansi import parse_line, plain_line
from moat_tui.screen.models.finding import matches, next_match
from moat_tui.screen.models.run_rows import state_piece
from moat_tui.screen.models.store import BoundedStore
from moat_tui.screen.models.visible import visible
from moat_tui.screen.output_reader import OutputReader
from moat_tui.screen.problems import report
from moat_tui.screen.reader import OutputRead, ReadFailed
from moat_tui.screen.theme import role_style
from moat_tui.screen.widgets.key_footer import KeyFooter
from moat_tui.screen.widgets.line_view import LineView

if TYPE_CHECKING:
    from engine import LogLine, RunInfo
    from moat_tui.screen.app import MoatApp

KEPT = 100_000
KEPT_BYTES = 64 * 1024 * 1024
WIDEST = 4_000  # columns of one line that can be scrolled to; the rest is in logs.jsonl
_CUT = 16_000  # characters of one line that are looked at


class OutputList(LineView["LogLine"]):
    COMPONENT_CLASSES: ClassVar[set[str]] = {"output--found"}
    margin = 1  # the bar of stderr

    def __init__(self) -> None:
        store: BoundedStore[LogLine] = BoundedStore(
            KEPT, weight_limit=KEPT_BYTES, weigh=lambda item: 200 + len(item.line)
        )
        super().__init__(store, id="output-list")
        self.query_text = ""
        self.found_place: int | None = None
        self._widest = 0

    def variant(self) -> object:
        return self.query_text

    def line_width(self) -> int:
        return self._widest

    def add(self, lines: list[LogLine], *, reset: bool) -> None:
        self._widest = 0 if reset else self._widest
        for item in lines:
            if len(item.line) > self._widest:  # a cheap lower bound spares most lines the parsing
                self._widest = max(self._widest, min(WIDEST, 1 + cell_len(plain_line(item.line[:_CUT]))))
        if reset:
            self.replace(lines)
        else:
            self.append(lines)

    def segments(self, item: LogLine, width: int) -> list[Segment]:
        pieces = parse_line(item.line[:_CUT])
        segments = [Segment(text, style) for text, style in pieces]
        if item.stream == "stderr":
            # The bar is the sign; its colour only helps to see it.
            segments.insert(0, Segment("▌", role_style(self, "bad")))
        else:
            segments.insert(0, Segment(" "))
        if not self.query_text:
            return segments
        return self._highlight(segments)

    def _highlight(self, segments: list[Segment]) -> list[Segment]:
        style = Style.null() + self.get_component_rich_style("output--found")
        found = matches("".join(part.text for part in segments), self.query_text)
        cuts = sorted({edge for pair in found for edge in pair})
        result: list[Segment] = []
        at = 0
        for part in segments:
            inner = [edge - at for edge in cuts if at < edge < at + len(part.text)]
            for start, end in zip([0, *inner], [*inner, len(part.text)], strict=True):
                inside = any(first <= at + start < last for first, last in found)
                result.append(
                    Segment(
                        part.text[start:end], (part.style or Style.null()) + style if inside else part.style
                    )
                )
            at += len(part.text)
        return result

    def hit(self, place: int) -> bool:
        return bool(matches(plain_line(self.store[place].line[:_CUT]), self.query_text))


class OutputScreen(LeftOnce[None]):
    CSS_PATH = "output_screen.tcss"
    AUTO_FOCUS = "#output-list"
    HELP = (
        "# Output\nWhat the agent printed. A bar at the left marks stderr. `/` searches, `n` and `N` go on."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Back", id="output.back", tooltip="Leave the search, or this screen"),
        Binding(
            "slash", "search", "Search", key_display="/", id="output.search", tooltip="Search the output"
        ),
        Binding("n", "next(1)", "Next", id="output.next", tooltip="The next line that matches"),
        Binding("N", "next(-1)", "Previous", id="output.previous", tooltip="The previous line that matches"),
        Binding("w", "save", "Save", id="output.save", tooltip="Write the whole output to a file"),
        Binding("f", "follow", "Follow", id="output.follow", tooltip="To the end, and stay there"),
    ]

    def __init__(self, run: RunInfo) -> None:
        super().__init__()
        self._shown_run = run
        self._note = ""

    def compose(self) -> ComposeResult:
        yield Static(id="output-title", markup=False)
        yield OutputList()
        yield Input(id="search", compact=True, placeholder="search: Enter finds, Esc leaves")
        yield KeyFooter()

    @property
    def view(self) -> OutputList:
        return self.query_one(OutputList)

    def on_mount(self) -> None:
        face = cast("MoatApp", self.app).face
        self.view.empty = (
            ("The agent printed nothing.",)
            if self._shown_run.state.ended
            else ("Nothing printed yet.", "It appears here as it comes.")
        )
        self._reader = OutputReader(face, self._shown_run.id, self.post_message)
        self.run_worker(self._reader.run, thread=True, group="output", exit_on_error=False)
        self._retitle()

    def on_unmount(self) -> None:
        self._reader.stop()

    @on(OutputRead)
    def _output_read(self, message: OutputRead) -> None:
        self.view.add(message.lines, reset=message.reset)
        message.taken()
        self._retitle()

    @on(ReadFailed)
    def _read_failed(self, message: ReadFailed) -> None:
        if message.error is not None:
            report(self.app, "The output cannot be read", message.error)

    @on(LineView.FollowChanged)
    def _follow_changed(self) -> None:
        self._retitle()

    def _retitle(self) -> None:
        view = self.view
        state, _ = state_piece(self._shown_run)
        text = f"Output of {visible(self._shown_run.name)}   {len(view.store):,} lines   {view.follow.word}"
        if self._shown_run.state.ended:
            text += f"   {state}"
        if self._note:
            text += f"   {self._note}"
        elif view.store.dropped or self._reader.began_late:
            text += "   older lines: moat logs"
        self.query_one("#output-title", Static).update(Content(text))

    def action_back(self) -> None:
        search = self.query_one("#search", Input)
        if search.has_class("shown"):
            search.remove_class("shown")
            self.view.focus()
        elif self.view.query_text:
            self._find("")
        else:
            self.dismiss(None)

    def action_follow(self) -> None:
        self.view.action_follow()

    @work(group="save", exclusive=True, exit_on_error=False)
    async def action_save(self) -> None:
        from moat_tui.screen.output_file import save_output

        await save_output(cast("MoatApp", self.app), self._shown_run)

    def action_search(self) -> None:
        search = self.query_one("#search", Input)
        search.add_class("shown")
        search.focus()

    @on(Input.Submitted, "#search")
    def _submitted(self, event: Input.Submitted) -> None:
        event.input.remove_class("shown")
        self.view.focus()
        self._find(event.value)
        if event.value:
            self.action_next(-1)

    def _find(self, query: str) -> None:
        self.view.query_text = query
        self.view.found_place = None
        self._note = ""
        self.view.refresh()
        self._retitle()
        self.refresh_bindings()

    def action_next(self, step: int) -> None:
        """To the next line that matches in the direction of `step`, going round at the ends."""
        view = self.view
        number = len(view.store)
        if not number or not view.query_text:
            return
        start = view.scroll_offset.y + view.size.height - 1 if step < 0 else view.scroll_offset.y
        if view.found_place is not None:
            # Numbers survive the dropping of older lines, places do not.
            start = view.found_place - view.store.dropped + step
        place = next_match(number, start % number, step, view.hit)
        if place is None:
            self._note = f"no line has “{visible(view.query_text)}”"
        else:
            view.found_place = view.store.dropped + place
            view.show_place(place)
            self._note = f"line {view.store.dropped + place + 1:,} has “{visible(view.query_text)}”"
        self._retitle()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "next" and self.is_mounted:
            return True if self.view.query_text else None
        return True
