"""A run's audit log for somebody who leafs through it, a page at a time. Everything here only looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.errors import AuditError
from engine.home import Home
from engine.run.reading.library import AUDIT_DB, installation_key, installation_of

if TYPE_CHECKING:
    from engine.anchors.evidence import Pins
    from engine.audit import AuditCounts, AuditPages, Entry, Verdict

BUNDLE_LIMIT = 512 * 1024 * 1024  # bytes; what `verify_bundle` takes


def audit_counts(home: Home, run_id: str, after: int = 0) -> AuditCounts:
    """How many entries of each type come after seq `after`. Blocking."""
    from engine.audit import count_entries

    return count_entries(_log(home, run_id), after)


def audit_pages(
    home: Home, run_id: str, types: Sequence[str] = (), after: int = 0, size: int = 256
) -> AuditPages:
    """Where pages of `size` entries of these types (none: all) begin, after seq `after`. Blocking."""
    from engine.audit import find_pages

    return find_pages(_log(home, run_id), types, after, size)


def audit_page(
    home: Home, run_id: str, types: Sequence[str] = (), after: int = 0, limit: int = 256
) -> list[Entry]:
    """Up to `limit` entries of these types (none: all) after seq `after`, in order. Blocking."""
    from engine.audit import read_entries

    return read_entries(_log(home, run_id), after, limit, types)


def audit_newest(home: Home, run_id: str, types: Sequence[str] = (), limit: int = 256) -> list[Entry]:
    """The last `limit` entries of these types (none: all), in order. Blocking."""
    from engine.audit import read_newest

    return read_newest(_log(home, run_id), limit, types)


def audit_place(home: Home, run_id: str, seq: int, types: Sequence[str] = ()) -> int:
    """How many entries of these types (none: all) come before `seq`. Blocking."""
    from engine.audit import place_of

    return place_of(_log(home, run_id), seq, types)


def verify_bundle(
    home: Home,
    data: bytes,
    public_key: bytes | None = None,
    *,
    finished: bool = False,
    pins: Pins | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Verify a proof bundle or a proof of single entries. Blocking.

    public_key: the pinned one; without it this installation's own, for what says that it comes from here.
    finished: the run is known to be over. pins: for its anchors; without them what config.yaml names.
    Raises AuditError for what is neither.
    """
    from engine.audit import contradicted
    from engine.audit import verify_bundle as verify

    verdict = verify(data, public_key, own_key=installation_key(home), finished=finished, progress=progress)
    if not verdict.valid or not verdict.anchor_count:
        return verdict
    from engine.anchors.evidence import judge_anchors
    from engine.anchors.places import own_pins

    findings = judge_anchors(data, own_pins(home) if pins is None else pins)
    for finding in findings:
        if finding.contradicts:
            return contradicted(verdict, "TAMPERED", finding.text)
    grounds = (*verdict.rests_on[:-1], *(finding.text for finding in findings))
    return msgspec.structs.replace(verdict, rests_on=grounds)


def verify_bundle_file(home: Home, path: Path) -> Verdict:
    """As verify_bundle, of what is in a file. Raises AuditError for what is no readable bundle."""
    remedy = "Name a proof bundle that `moat audit --export` or the screen wrote."
    try:
        # A pipe or a device would be waited for without end.
        if not path.is_file():
            raise AuditError(f"{path} is not a file", remedy=remedy)
        if path.stat().st_size > BUNDLE_LIMIT:
            raise AuditError(f"{path} is larger than any proof bundle", remedy=remedy)
        data = path.read_bytes()
    except OSError as error:
        raise AuditError(f"{path} cannot be read: {error.strerror}", remedy=remedy) from error
    return verify_bundle(home, data)


def prove_entries(home: Home, run_id: str, seqs: Sequence[int], withheld: Sequence[str] = ()) -> bytes:
    """A proof of single entries of a run's log, with the fields `withheld` kept back. Blocking."""
    from engine.audit import prove_entries as prove

    return prove(_log(home, run_id), seqs, withheld=withheld, installation=installation_of(home, run_id))


def standalone_verifier() -> str:
    """The source of the verifier that needs nothing but Python."""
    return (files("engine.audit.standalone") / "moat_verify.py").read_text("utf-8")


def _log(home: Home, run_id: str) -> Path:
    return home.check(home.run(run_id) / AUDIT_DB)
