"""All about one request, as the proxy recorded it: credentials and cookies are redacted in the file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, cast

from textual import work
from textual.binding import Binding, BindingType
from textual.message import Message

from moat_tui.screen.dialogs.report import ReportBody, ReportDialog
from moat_tui.screen.models.audit_match import Match, find_entries
from moat_tui.screen.models.curl import as_curl
from moat_tui.screen.models.messages import ShowAuditEntry
from moat_tui.screen.models.request_report import audit_pieces, request_report
from moat_tui.screen.models.request_state import is_open

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine import RequestRecord
    from moat_tui.screen.app import MoatApp


LOOK_EVERY = 0.5  # seconds between looks at a request that is open


class RequestDetail(ReportDialog):
    """latest: the same request as it is now; one that is open is followed to its end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "c",
            "copy_curl",
            "Copy as curl",
            id="detail.curl",
            tooltip="Copy as a curl command, without any credential",
        ),
        Binding(
            "a", "show_audit", "Audit", id="detail.audit", tooltip="To this request's entry in the audit log"
        ),
    ]

    def __init__(
        self, record: RequestRecord, run_id: str, latest: Callable[[], RequestRecord] | None = None
    ) -> None:
        super().__init__("Request", request_report(record))
        self._record = record
        self._run_id = run_id
        self._latest = latest
        self._entries: list[Match] = []
        self._left = False

    def on_mount(self) -> None:
        if is_open(self._record) and self._latest is not None:
            self._timer = self.set_interval(LOOK_EVERY, self._look_again)
        else:
            self._look_for_entries()

    def _look_again(self) -> None:
        assert self._latest is not None
        try:
            record = self._latest()
        except IndexError:  # the list is another one now
            self._timer.stop()
            return
        if record == self._record:
            return
        self._record = record
        self.query_one(ReportBody).show(request_report(record))
        if not is_open(record):
            self._timer.stop()
            self._look_for_entries()

    def on_unmount(self) -> None:
        self._left = True

    @work(group="entries", exclusive=True, exit_on_error=False)
    async def _look_for_entries(self) -> None:
        from engine import MoatError

        face = cast("MoatApp", self.app).face

        def look() -> list[Match]:
            return find_entries(
                self._record,
                lambda after, limit: face.entries(self._run_id, after, limit),
                lambda: self._left,
            )

        try:
            self._entries = await asyncio.to_thread(look)
        except (MoatError, OSError):
            self._entries = []  # the audit pane says what is wrong with the log
        self.query_one(ReportBody).show(request_report(self._record, audit_pieces(self._entries)))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "show_audit":
            return True if self._entries else None
        return True

    def action_copy_curl(self) -> None:
        self.app.copy_to_clipboard(as_curl(self._record))
        self.app.notify("Copied as a curl command, without any credential.", markup=False)

    def action_show_audit(self) -> None:
        jump: Message = ShowAuditEntry(self._run_id, self._entries[-1].seq)
        app = self.app
        self.dismiss(None)
        app.post_message(jump)
