"""What became of the workspace, as lines for the page. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from engine.workspace import FileState, WorkspaceChange, WorkspaceRecord

MOST_SHOWN = 1_000  # changes
MOST_LINES = 1_000  # of one diff
MOST_LINES_IN_ALL = 20_000

_MARKS = {"+": "add", "-": "del", "@": "hunk", "\\": "dim"}


class File(msgspec.Struct, frozen=True):
    """lines: (css class, text) of the diff; facts: what there is to say besides; more: lines left out."""

    path: str
    change: str
    facts: tuple[str, ...]
    runs_later: str = ""
    leads_out: bool = False
    lines: tuple[tuple[str, str], ...] = ()
    more: int = 0


class Shown(msgspec.Struct, frozen=True):
    """more: changes that are not shown."""

    files: tuple[File, ...] = ()
    more: int = 0

    @property
    def noted(self) -> tuple[File, ...]:
        """Those that may act by themselves, or lead out of the workspace."""
        return tuple(file for file in self.files if file.runs_later or file.leads_out)


def shown_changes(record: WorkspaceRecord) -> Shown:
    left = MOST_LINES_IN_ALL
    files = []
    for change in record.changes[:MOST_SHOWN]:
        file = _file(change, min(left, MOST_LINES))
        left -= len(file.lines)
        files.append(file)
    return Shown(tuple(files), record.more + len(record.changes) - len(files))


def _file(change: WorkspaceChange, most: int) -> File:
    lines = change.diff.split("\n")[:-1] if change.diff else []
    facts = [_state(state) for state in (change.before, change.after) if state is not None]
    if change.no_diff:
        facts.append(f"no diff: {change.no_diff}")
    return File(
        path=change.path,
        change=change.change,
        facts=(" → ".join(facts[:2]), *facts[2:]) if change.before and change.after else tuple(facts),
        runs_later=change.runs_later,
        leads_out=change.after is not None and change.after.leads_out,
        lines=tuple((_MARKS.get(line[:1], ""), line) for line in lines[:most]),
        more=max(0, len(lines) - most),
    )


def _state(state: FileState) -> str:
    words = [state.kind if state.kind != "file" else f"{state.size:,} bytes", f"mode {state.mode}"]
    if state.target:
        words.append(f"to {state.target}")
    if state.sha256:
        words.append(f"sha256 {state.sha256[:16]}…")
    return ", ".join(words)
