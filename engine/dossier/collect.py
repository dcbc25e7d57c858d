"""Reading all that a run left, and writing its dossier."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.audit import Entry, Verdict, render_verdict
from engine.dossier.page import Dossier, Proof, Workspace, amount, render
from engine.dossier.story import KINDS, Story
from engine.errors import AuditError, HomeError, MoatError
from engine.events import RunInfo, timestamp
from engine.home import Home
from engine.run.reading.audit_view import audit_counts, audit_page
from engine.run.reading.library import AUDIT_DB, export_bundle, find_run, verify_run
from engine.run.reading.tail import LogTail, RequestTail
from engine.run.workspace.record import bound_hash, read_workspace_record

MOST_BUNDLE = 24 * 1024 * 1024  # bytes that a page carries
_MOST_LOG = 3 * MOST_BUNDLE // 2  # bytes of audit.db from which no bundle is made for it
LAST_LINES = 80
_PAGE = 5_000


def write_dossier(
    home: Home, run: RunInfo, verdict: Verdict, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> str:
    """The page, as text. Blocking. verdict: of `verify_run`.

    What cannot be read (a log that was tampered with) is said on the page; it never raises for that.
    """
    story = Story()
    problems: list[str] = []
    try:
        for entry in _entries(home, run.id):
            story.entry(entry.seq, entry.ts, entry.type, entry.data)
    except MoatError as error:
        problems.append(error.what)
    requests = RequestTail(home, run.id)
    while records := requests.read():
        for record in records:
            story.request(record)
    if requests.skipped:
        problems.append(f"{amount(requests.skipped, 'line')} of network.jsonl cannot be read")
    printed = LogTail(home, run.id)
    last = printed.last(LAST_LINES)
    return render(
        Dossier(
            run=run,
            made_at=timestamp(clock()),
            story=story,
            problems=tuple(problems),
            last_lines=tuple((line.ts, line.stream, line.line) for line in last),
            printed=_size(home, run.id, "logs.jsonl"),
            workspace=_workspace(home, run, story),
            proof=_proof(home, run, verdict),
        )
    )


def verified_dossier(home: Home, run_id: str) -> bytes:
    """The dossier of a run, its log verified for it, as the bytes of a file. Blocking. Raises RunNotFound."""
    return write_dossier(home, find_run(home, run_id), verify_run(home, run_id)).encode()


def _entries(home: Home, run_id: str) -> Iterator[Entry]:
    after = 0
    while page := audit_page(home, run_id, KINDS, after, _PAGE):
        yield from page
        after = page[-1].seq


def _workspace(home: Home, run: RunInfo, story: Story) -> Workspace:
    said = bound_hash(story.workspace)
    try:
        found = read_workspace_record(home, run.id)
    except HomeError as error:
        return Workspace(alarm=error.what)
    if found is None:
        if said:
            return Workspace(
                alarm=f"the log names a record (entry {story.workspace_seq}), but the file is gone"
            )
        if story.workspace:
            return Workspace(absent=story.workspace)
        if "no record of the workspace" in story.given:
            return Workspace(absent="not wanted (workspace_record: false)")
        return Workspace(
            absent="the run is not over"
            if not run.state.ended
            else "there is none: the run was cut off, or made by a version that kept none"
        )
    record, digest = found
    if digest != said:
        return Workspace(
            record=record, alarm="workspace.json is not what the log names: it was changed after the run"
        )
    return Workspace(record=record, bound_by=story.workspace_seq)


def _proof(home: Home, run: RunInfo, verdict: Verdict) -> Proof:
    counts: dict[str, int] = {}
    bundle, left_out = "", ""
    try:
        counts = audit_counts(home, run.id).types
        if _size(home, run.id, AUDIT_DB) > _MOST_LOG:
            left_out = "the log is too long for a page"
        else:
            bundle = export_bundle(home, run.id).decode()
    except (AuditError, HomeError) as error:
        left_out = error.what
    if len(bundle) > MOST_BUNDLE:
        bundle, left_out = "", "the log is too long for a page"
    parts = _parts(bundle)
    return Proof(
        said=tuple(render_verdict(verdict)),
        well=verdict.exit_code == 0,
        counts=counts,
        bundle=bundle,
        left_out=left_out,
        origin=str(parts.get("origin", "")),
        checkpoints=tuple(map(str, parts.get("checkpoints", ()))),
        keys=tuple(map(str, parts.get("keys", ()))),
        anchors=tuple(map(_anchor, parts.get("anchors", ()))),
        pinned=_pinned(home),
    )


def _parts(bundle: str) -> dict[str, Any]:
    if not bundle:
        return {}
    try:
        found: dict[str, Any] = json.loads(bundle)
    except (ValueError, RecursionError):  # a log that was tampered with is exported as it is
        return {}
    return {name: value for name, value in found.items() if name != "entries"}


def _anchor(anchor: object) -> tuple[str, str]:
    if not isinstance(anchor, dict):
        return "", ""
    return str(anchor.get("kind", "")), str(anchor.get("size", ""))


def _pinned(home: Home) -> str:
    from engine.heads import read_pin

    try:
        return read_pin(home).hex()
    except (FileNotFoundError, MoatError, msgspec.MsgspecError, RecursionError):
        return ""


def _size(home: Home, run_id: str, name: str) -> int:
    try:
        return home.check(home.run(run_id) / name).stat().st_size
    except OSError:
        return 0
