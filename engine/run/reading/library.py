"""Finding runs and reading what they left: everything here only looks, live or finished alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import HomeError, RunNotFound
from engine.events import RunInfo
from engine.home import Home
from engine.run.metadata import read_metadata
from engine.run.names import ID_PREFIX, is_run_id

if TYPE_CHECKING:
    from engine.audit import Entry, Installation, Verdict
    from engine.heads import RecordedRun

AUDIT_DB = "audit.db"
PUBLIC_KEY = "signing.pub"


def list_runs(home: Home) -> list[RunInfo]:
    """Every run, newest first."""
    home.check(home.runs)
    try:
        ids = [path.name for path in home.runs.iterdir() if is_run_id(path.name) and path.is_dir()]
    except FileNotFoundError:
        return []
    runs = [read_metadata(home, run_id) for run_id in ids]
    return sorted(runs, key=lambda run: (run.created_at, run.id), reverse=True)


def find_run(home: Home, ref: str = "") -> RunInfo:
    """The run meant by `ref`: an id, a unique prefix of one, or a name (the newest of that name).

    Empty means the latest run. Raises RunNotFound with what was found instead.
    """
    runs = list_runs(home)
    if not runs:
        raise RunNotFound("there are no runs yet", remedy="Start one: moat run -- COMMAND")
    if not ref:
        return runs[0]
    for run in runs:
        if ref in (run.id, run.name):
            return run
    starts = [run for run in runs if run.id.startswith(ref) or run.id.startswith(ID_PREFIX + ref)]
    if len(starts) == 1:
        return starts[0]
    if starts:
        raise RunNotFound(
            f"{len(starts)} runs start with {ref!r}: {', '.join(run.id for run in starts[:4])}",
            remedy="Give more of the id.",
        )
    raise RunNotFound(f"no run is called {ref!r}", remedy="See them all: moat list")


def verify_run(
    home: Home,
    run_id: str,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Verdict:
    """Check a run's audit log with this installation's key and what its own log says of the run. Blocking."""
    from engine.audit import Installation, Recorded, contradicted, verify_log
    from engine.heads import read_history
    from engine.run.reading.installation import recorded_fault

    path = home.check(home.run(run_id) / AUDIT_DB)
    # A run that is over has a signed end: without it, its tail was cut off together with the signature.
    over = read_metadata(home, run_id).state.ended
    key = installation_key(home)
    # Read before the run's log: whatever it says of a live run is in that log by then.
    history = read_history(home)
    installation = recorded = None
    if history is not None and key is not None and not history.fault:
        installation = Installation(key, tuple(str(note) for note in history.certificates))
        found = history.runs.get(run_id)
        if found is not None and found.start:
            recorded = Recorded(found.start, found.size, found.root, found.closed)
    verdict = verify_log(
        path,
        public_key=key,
        installation=installation,
        recorded=recorded,
        finished=over,
        progress=progress,
        cancelled=cancelled,
    )
    if history is None:
        return verdict
    if history.fault:
        return contradicted(verdict, "", history.fault)
    verdict = contradicted(verdict, *recorded_fault(home, run_id, history))
    return _with_anchors(home, verdict, history.runs.get(run_id))


def _with_anchors(home: Home, verdict: Verdict, recorded: RecordedRun | None) -> Verdict:
    """What others hold of the installation's log, among the grounds."""
    from engine.anchors.kept import read_anchored

    anchors = read_anchored(home) if recorded is not None and verdict.rests_on else []
    if recorded is None or not anchors:
        return verdict
    from engine.anchors.evidence import held
    from engine.audit import contradicted

    for anchored in anchors:
        if anchored.conflict:
            return contradicted(verdict, "", f"{anchored.kind} {anchored.place}: {anchored.problem}")
    newest = max(recorded.start_seq, recorded.head_seq, recorded.close_seq)
    grounds = (*verdict.rests_on[:-1], *(held(anchored, newest) for anchored in anchors))
    return msgspec.structs.replace(verdict, rests_on=grounds)


def audit_entries(home: Home, run_id: str, after: int = 0, limit: int = 1000) -> list[Entry]:
    """Entries with a sequence number above `after`, in order. Blocking."""
    from engine.audit import read_entries

    return read_entries(home.check(home.run(run_id) / AUDIT_DB), after=after, limit=limit)


def export_bundle(home: Home, run_id: str) -> bytes:
    """The run's proof bundle: one JSON file that verifies on another machine."""
    from engine.audit import export_bundle as export

    path, installation = home.check(home.run(run_id) / AUDIT_DB), installation_of(home, run_id)
    return export(path, installation=installation, anchors=_anchors_of(home, installation))


def _anchors_of(home: Home, installation: Installation | None) -> list[dict[str, Any]]:
    """What others said of the head that the bundle quotes, or of those before it."""
    if installation is None or not installation.checkpoint:
        return []
    from engine.anchors.evidence import statements
    from engine.anchors.service import newest_head

    head = newest_head(home)
    # A head that was signed since is not the one that the bundle's proofs are of.
    return statements(home, head if head is not None and head.note == installation.checkpoint else None)


def installation_of(home: Home, run_id: str) -> Installation | None:
    """What a bundle says of this installation, and of the run in its log; None before it has a key."""
    from engine.audit import Installation, installation_from
    from engine.heads import installation_evidence, read_history

    key = installation_key(home)
    if key is None:
        return None
    if (evidence := installation_evidence(home, run_id)) is not None:
        return installation_from(evidence)
    history = read_history(home)
    return Installation(key, tuple(str(note) for note in history.certificates) if history is not None else ())


def installation_key(home: Home) -> bytes | None:
    """The installation's first key, which is what is pinned: a log signed by somebody else must not pass."""
    try:
        return bytes.fromhex(home.read(home.heads / PUBLIC_KEY).decode("ascii").strip())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise HomeError(
            f"{home.heads / PUBLIC_KEY} is not a public key",
            remedy="Restore it from a backup: signatures cannot be checked against a damaged key.",
        ) from error
