"""What one part of the screen asks of another. They bubble to the application, which knows all parts."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message


@dataclass
class ShowAuditEntry(Message):
    """Open the audit log of a run at one entry. seq: its number; 0 for the newest."""

    run_id: str
    seq: int = 0
