"""Read-only: everything can be looked at and nothing changed.

Two locks, so that a mistake in one cannot change anything: actions that change are greyed out, and the
face that the screen is given refuses every call that is not known to be reading only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, cast

if TYPE_CHECKING:
    from moat_tui.screen.engine_face import EngineFace

CHANGING_ACTIONS = frozenset(
    {
        "add_grant",
        "answer_approval",
        "attach_run",
        "destroy_run",
        "fix_machine",
        "kill_run",
        "open_shell",
        "open_terminal",
        "rename_run",
        "replace_grant",
        "revoke_grant",
        "snapshot_run",
        "start_again",
        "start_run",
        "stop_run",
    }
)
"""Actions of any screen, by name. A new action that changes something belongs here."""

READING = frozenset(
    {
        "anchors",
        "approvals",
        "approvals_stamp",
        "audit_counts",
        "audit_newest",
        "audit_page",
        "audit_pages",
        "audit_place",
        "audit_stamp",
        "checks",
        "describe",
        "dossier",
        "entries",
        "export",
        "grants",
        "grants_stamp",
        "is_new",
        "open_mark",
        "open_requests",
        "output_file",
        "output_tail",
        "request_file",
        "request_tail",
        "runs",
        "runs_stamp",
        "uses",
        "verify",
        "verify_file",
    }
)
"""What of `EngineFace` only reads. What is not named here is refused."""


class ReadOnlyFace:
    def __init__(self, face: EngineFace) -> None:
        self._face = face

    def __getattr__(self, name: str) -> object:
        if name in READING:
            return getattr(self._face, name)
        return _refuse

    def __repr__(self) -> str:
        return "ReadOnlyFace()"


def read_only(face: EngineFace) -> EngineFace:
    return cast("EngineFace", ReadOnlyFace(face))


def _refuse(*_: object, **__: object) -> NoReturn:
    from engine import MoatError

    raise MoatError(
        "this screen is read-only",
        remedy="Open it without --read-only, and without read_only in config.yaml, to change something.",
    )
