"""Windows that ask for something and go away again; each is imported when it is first opened."""

from __future__ import annotations

from pathlib import Path

STYLES = Path(__file__).with_name("dialogs.tcss")
"""By its full path, because a dialog's subclass may live in another folder."""
