"""Help for where somebody is: the place's own text, and every key that works there with what it does.

Textual's own help panel takes a third of the screen from what it explains, and hides half of the footer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.dom import DOMNode

from moat_tui.screen.dialogs.report import ReportBody, ReportDialog, ReportScroll
from moat_tui.screen.models.help_lines import KeyHelp, PlaceHelp, heading, help_lines

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen


class HelpDialog(ReportDialog):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "close", "Close", show=False, id="help.close", tooltip="Back"),
    ]

    def __init__(self, screen: Screen[Any]) -> None:
        """screen: the one that is looked at now."""
        super().__init__("Help", [])
        self._places = _places(screen.app, screen)

    def on_resize(self) -> None:
        self.call_after_refresh(self._lay_out)

    def _lay_out(self) -> None:
        for body in self.query(ReportBody):  # none on its way out: a screen loses its parts before it is gone
            # A margin for the scrollbar, whether it is there or not: it must not fold the lines again.
            width = self.query_one(ReportScroll).size.width - 2
            body.show(help_lines(self._places, width))


def _places(app: App[Any], screen: Screen[Any]) -> list[PlaceHelp]:
    """What has the focus and all around it; what has a text of its own comes first."""
    nodes: dict[DOMNode, dict[str, list[Any]]] = {}
    for active in screen.active_bindings.values():
        if not active.binding.system:
            nodes.setdefault(active.node, {}).setdefault(active.binding.action, []).append(active)
    places: list[PlaceHelp] = []
    for node, actions in nodes.items():
        text = _text(node)
        keys = [
            KeyHelp(
                " ".join(dict.fromkeys(app.get_key_display(one.binding) for one in several)),
                several[0].binding.description,
                several[0].binding.tooltip or "",
                several[0].enabled,
            )
            for several in actions.values()
        ]
        places.append(PlaceHelp(node.BINDING_GROUP_TITLE or heading(text) or "Also", text, keys))
    return sorted(places, key=lambda place: not place.text)


def _text(node: DOMNode) -> str:
    return getattr(node, "HELP", None) or ""
