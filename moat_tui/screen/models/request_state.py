"""What the screen knows of a request beyond its record; a plain record is over and of no named run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine import RequestRecord


def is_open(record: RequestRecord) -> bool:
    return bool(getattr(record, "open", False))


def run_of(record: RequestRecord) -> str:
    """The name of the run that made it; empty when it is not known."""
    return str(getattr(record, "run", ""))


def state_of(record: RequestRecord) -> str:
    return "open" if is_open(record) else "over"
