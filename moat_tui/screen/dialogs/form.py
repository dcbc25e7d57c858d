"""What all forms have: fields that scroll, what is wrong with the whole, and buttons that stay in sight."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Static

from moat_tui.screen.dialogs import STYLES
from moat_tui.screen.leaving import LeftOnce
from moat_tui.screen.models.form_error import FormError
from moat_tui.screen.problems import explain
from moat_tui.screen.widgets.form_fields import FormFields
from moat_tui.screen.widgets.key_footer import KeyFooter

_SHARE = 90  # per cent of the height that a dialog may have (dialogs.tcss)
_FOOTER = 1
_LEAST = 3


class FormDialog[Result](ModalScreen[Result], LeftOnce[Result]):
    """TITLE, YES, NO: its heading, and what its two buttons say. The first is `#yes`, the other `#no`."""

    CSS_PATH = STYLES
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (32, "-tall")]  # noqa: RUF012
    TITLE: ClassVar[str] = ""
    YES: ClassVar[str] = ""
    NO: ClassVar[str] = "Cancel (esc)"

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -form"):
            yield Static(self.TITLE, classes="dialog-title", id="title", markup=False)
            with FormFields(id="fields"):
                yield from self.compose_fields()
            yield Static(id="problem", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(self.YES, id="yes", variant="primary")
                yield Button(self.NO, id="no")
        yield KeyFooter(show_command_palette=False)

    def compose_fields(self) -> ComposeResult:
        raise NotImplementedError

    @property
    def fields(self) -> FormFields:
        return self.query_one("#fields", FormFields)

    def retitle(self, text: str) -> None:
        """text: already made visible."""
        self.query_one("#title", Static).update(Content(text))

    def say(self, text: str, *, bad: bool = True) -> None:
        """What holds for the whole form: what goes on, or what is wrong; empty for nothing."""
        problem = self.query_one("#problem", Static)
        problem.update(Content(text))
        problem.set_class(bool(text), "shown")
        problem.set_class(bad, "bad")
        self.call_after_refresh(self._fit)

    def on_resize(self) -> None:
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Keep the buttons in sight: a style sheet cannot know how much room a problem leaves the fields."""
        fields = next(iter(self.query(FormFields)), None)
        if fields is None or not isinstance(dialog := fields.parent, Widget):
            return  # on its way out, a screen loses its parts before it is gone
        rest = (child for child in dialog.children if child.display and child is not fields)
        taken = sum(child.outer_size.height + child.styles.margin.height for child in rest)
        room = (self.size.height - _FOOTER) * _SHARE // 100 - dialog.gutter.height - taken
        fields.styles.max_height = max(_LEAST, room)

    def complain(self, error: BaseException) -> None:
        """Beside the field that it is about, where it is about one; else below them all."""
        if isinstance(error, FormError) and self.fields.wrong(error):
            self.say("")
        elif isinstance(error, FormError):
            self.say(f"✗ {error}")
        else:
            self.say("✗ " + "\n".join(explain(error)))
