"""All about one request, as the proxy recorded it: credentials and cookies are redacted in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat_tui.screen.dialogs.report import ReportDialog
from moat_tui.screen.models.request_report import request_report

if TYPE_CHECKING:
    from engine import RequestRecord


class RequestDetail(ReportDialog):
    def __init__(self, record: RequestRecord) -> None:
        super().__init__("Request", request_report(record))
