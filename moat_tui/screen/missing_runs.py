"""Runs that are gone although nobody destroyed them: looked for on a thread for the audit screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.models.installation_rows import Row, installation_report, installation_rows
from moat_tui.screen.models.pieces import Piece
from moat_tui.screen.problems import explain

if TYPE_CHECKING:
    from engine import InstallationAudit


@dataclass
class InstallationRead(Message):
    """found: None when the installation's log could not be looked at; problem says why."""

    found: InstallationAudit | None = None
    problem: str = ""


class MissingRuns:
    """What was found last. `read` is a thread's body."""

    def __init__(self, face: EngineFace, deliver: Callable[[Message], object]) -> None:
        self._face = face
        self._deliver = deliver
        self._there: set[str] | None = None
        self.last = InstallationRead()

    def are_due(self, run_ids: Iterable[str]) -> bool:
        """Whether to look again, given the runs there are now: at first, and when one of them is gone."""
        before, self._there = self._there, set(run_ids)
        return before is None or not self._there >= before

    def read(self) -> None:
        try:
            message = InstallationRead(self._face.missing_runs())
        except Exception as error:  # the audit of the runs that are there goes on
            message = InstallationRead(problem=" ".join(explain(error)))
        self._deliver(message)

    def rows(self) -> list[Row]:
        return installation_rows(self.last.found, self.last.problem)

    def report(self, key: str) -> list[list[Piece]]:
        return installation_report(self.last.found, self.last.problem, key)
