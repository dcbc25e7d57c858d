"""Moat's own two themes, and how a role of `models.pieces` becomes a style."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.theme import Theme

from moat_tui.screen.models.pieces import ROLES, Piece

if TYPE_CHECKING:
    from textual.widget import Widget

DARK = Theme(
    name="moat-dark",
    dark=True,
    primary="#5ea1d8",
    secondary="#7c8fb0",
    accent="#e0b05c",
    success="#7bc47f",
    warning="#e5b567",
    error="#ee7b7b",
    foreground="#d7dce4",
    background="#12161d",
    surface="#171c25",
    panel="#212835",
    variables={
        "quiet": "#8a95a8",
        "border": "#39455a",
        "border-blurred": "#2c3546",
        "footer-key-foreground": "#e0b05c",
        "footer-background": "#1c222d",
        "block-cursor-background": "#2f4a68",
        "block-cursor-foreground": "#f2f5f9",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#263140",
        "block-cursor-blurred-foreground": "#d7dce4",
        "scrollbar": "#39455a",
        "scrollbar-background": "#171c25",
    },
)

LIGHT = Theme(
    name="moat-light",
    dark=False,
    primary="#1f5f99",
    secondary="#5b6b85",
    accent="#8a5a00",
    success="#1d6b2f",
    warning="#8a5a00",
    error="#a82525",
    foreground="#1f2630",
    background="#f3f4f6",
    surface="#fbfbfc",
    panel="#e4e7ec",
    variables={
        "quiet": "#5a6475",
        "border": "#aab4c3",
        "border-blurred": "#c9d0da",
        "footer-key-foreground": "#8a5a00",
        "footer-background": "#e4e7ec",
        "block-cursor-background": "#c3d9ee",
        "block-cursor-foreground": "#10161f",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#dde5ee",
        "block-cursor-blurred-foreground": "#1f2630",
        "scrollbar": "#aab4c3",
        "scrollbar-background": "#fbfbfc",
    },
)

ROLE_CLASSES = {f"role--{role}" for role in ROLES}
"""COMPONENT_CLASSES of every widget that shows pieces; `app.tcss` gives them their colours."""


def role_style(widget: Widget, role: str) -> Style:
    """The style of a role on this widget, without a background of its own; null for plain text."""
    if not role:
        return Style.null()
    return widget.get_component_rich_style(f"role--{role}", partial=True)


def text_of(widget: Widget, pieces: list[Piece] | tuple[Piece, ...]) -> Text:
    """Pieces as Rich text. Nothing in them is read as markup."""
    text = Text(no_wrap=False, end="")
    for part, role in pieces:
        text.append(part, role_style(widget, role))
    return text


def text_of_lines(widget: Widget, lines: list[list[Piece]]) -> Text:
    return Text("\n").join(text_of(widget, line) for line in lines)
