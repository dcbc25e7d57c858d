"""What the keys of the requests do."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import on

from moat_tui.screen.board import Board
from moat_tui.screen.widgets.line_view import LineView

if TYPE_CHECKING:
    from moat_tui.screen.models.shown_request import ShownRequest


class RequestsKeys(Board):
    def request_action_possible(self, action: str) -> bool:
        pane = self._requests
        query = pane.query_model
        if action in ("open_request", "copy_curl"):
            return pane.current is not None
        if action in ("next_found", "show_hidden"):
            return query.wanted is not None and query.order is None
        if action == "clear_filter":
            return pane.input.has_focus or bool(query.text) or query.order is not None
        if action == "leave_filter":
            return pane.input.has_focus
        return True

    @on(LineView.Opened, "#requests-list")
    def _request_opened(self, event: LineView.Opened) -> None:
        self._open_request(cast("ShownRequest", event.item))

    def action_open_request(self) -> None:
        if self._requests.current is not None:
            self._open_request(self._requests.current)

    def _open_request(self, record: ShownRequest) -> None:
        from moat_tui.screen.request_detail import RequestDetail

        lines, number = self._requests.lines, self._requests.view.number_of(record)
        detail = RequestDetail(record, record.run_id or self._runs.selected, lambda: lines.record(number))
        self.app.push_screen(detail)

    def action_copy_curl(self) -> None:
        from moat_tui.screen.models.curl import as_curl

        if self._requests.current is not None:
            self.app.copy_to_clipboard(as_curl(self._requests.current))
            self.app.notify("Copied as a curl command, without any credential.", markup=False)

    def action_all_requests(self) -> None:
        """The requests of all runs, or again of the selected one; where they are hidden, bring them up."""
        if not self._requests.display:
            self.action_jump("requests")
        self._requests.show_all(not self._requests.listing.runs)

    def action_follow_requests(self) -> None:
        """To the newest: by time, whatever the order was."""
        if self._requests.query_model.order is not None:
            self._requests.query_model.order = None
            self._requests.ask()
        self._requests.view.action_follow()

    def action_filter_requests(self) -> None:
        self.action_jump("requests")
        self.call_after_refresh(self._requests.open_filter)

    def action_leave_filter(self) -> None:
        self._requests.leave_filter()

    def action_clear_filter(self) -> None:
        self._requests.clear()

    def action_pause_requests(self) -> None:
        self._requests.pause()

    def action_show_hidden(self) -> None:
        self._requests.show_hidden()

    def action_sort_requests(self, column: str) -> None:
        self._requests.sort(column)

    def action_next_found(self, step: int) -> None:
        self._requests.go_to_found(step)
