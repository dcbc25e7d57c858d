"""The fields of a form under each other, each with its title, and under it what is wrong with it."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.css.query import NoMatches
from textual.widget import Widget
from textual.widgets import Input, Label, Select, SelectionList, Static

from moat_tui.screen.models.form_error import FormError
from moat_tui.screen.models.visible import visible


class FormField(Vertical):
    """content: stands beside the title; the first of it is the field itself."""

    def __init__(self, title: str, *content: Widget) -> None:
        super().__init__(classes="field")
        self._heading = title
        self.wrong_value: object = None
        self._content = content

    def compose(self) -> ComposeResult:
        with Horizontal(classes="row"):
            yield Label(self._heading, classes="row-title", markup=False)
            yield from self._content
        yield Static(classes="field-problem", markup=False)

    def say(self, text: str) -> None:
        """What is wrong with it; empty when nothing is."""
        self.query_one(".field-problem", Static).update(Content(f"✗ {text}" if text else ""))
        self.set_class(bool(text), "wrong")


class FormFields(VerticalScroll, can_focus=False):
    """Scrolls where there is not the room for all, so that what stands below it stays in sight."""

    def wrong(self, error: FormError) -> bool:
        """Say it beside its field and go there. False where there is no such field to be seen."""
        try:
            field = self.query_one(f"#{error.field}")
        except NoMatches:
            return False
        row = next((node for node in field.ancestors if isinstance(node, FormField)), None)
        if row is None or not row.display:
            return False
        row.say(visible(str(error)))
        row.wrong_value = _value(field)
        field.focus(scroll_visible=False)
        self.call_after_refresh(row.scroll_visible, animate=False)
        return True

    def all_right(self) -> None:
        for row in self.query(FormField):
            row.say("")

    @on(Input.Changed)
    @on(Select.Changed)
    @on(SelectionList.SelectedChanged)
    def _mended(self, event: Input.Changed | Select.Changed | SelectionList.SelectedChanged[str]) -> None:
        """What was said of a value does not hold for another one; but a message may be about the old one."""
        row = next((node for node in event.control.ancestors if isinstance(node, FormField)), None)
        if row is not None and row.has_class("wrong") and row.wrong_value != _value(event.control):
            row.say("")


def _value(field: Widget) -> object:
    return field.selected if isinstance(field, SelectionList) else getattr(field, "value", None)
