"""All that is stored about a grant, but its value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from moat_tui.screen.dialogs.report import ReportDialog
from moat_tui.screen.models.grant_rows import grant_report, label

if TYPE_CHECKING:
    from engine import GrantInfo


class GrantDetail(ReportDialog):
    def __init__(self, grant: GrantInfo, run_names: Mapping[str, str], now: datetime) -> None:
        super().__init__(f"Grant {label(grant)}", grant_report(grant, run_names, now))
