"""All that is stored about a grant, but its value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat_tui.screen.dialogs.report import ReportDialog
from moat_tui.screen.models.grant_rows import label
from moat_tui.screen.models.pieces import Piece

if TYPE_CHECKING:
    from engine import GrantInfo


class GrantDetail(ReportDialog):
    """lines: as `models.grant_rows.grant_report` makes them."""

    def __init__(self, grant: GrantInfo, lines: list[list[Piece]]) -> None:
        super().__init__(f"Grant {label(grant)}", lines)
