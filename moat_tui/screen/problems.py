"""Telling a person what went wrong without losing the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from textual.app import App

SHOWN_FOR = 12.0  # seconds


def explain(error: BaseException) -> list[str]:
    """One to three lines. An error that Moat did not raise is named by its type only: its text could
    hold anything, a credential included."""
    from engine import MoatError

    if isinstance(error, MoatError):
        return [visible(line) for line in error.lines()]
    if isinstance(error, TimeoutError):
        return ["It took too long.", "Try again; `moat doctor` says whether the machine is well."]
    if isinstance(error, OSError) and error.strerror:
        return [visible(f"{error.strerror}: {error.filename}" if error.filename else error.strerror)]
    return [
        f"Moat met an unexpected {type(error).__name__}.",
        "This is a defect: please report what you did.",
    ]


def sentence(error: BaseException) -> str:
    """The same on one line."""
    *rest, last = explain(error)
    return "".join(part.removesuffix(".") + ". " for part in rest) + last


def report(app: App[Any], title: str, error: BaseException) -> None:
    """A message over the screen; nothing in it is markup."""
    app.notify("\n".join(explain(error)), title=title, severity="error", timeout=SHOWN_FOR, markup=False)
