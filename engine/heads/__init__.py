"""The room of the installation's own log, `heads/`: which runs there were, and how far each log had got.

    event       one of its events             sealed_key     the installation's key on disk
    store       heads.db for those who append  installation   signing with it, and replacing it every day
    history     the whole log judged, pure     record         what a run's life tells it
    read, known heads.db for readers          run_heads      what a supervisor holds of it

The log is a Merkle tree like a run's (engine/audit/FORMAT.md), so whoever has seen one of its signed
heads can tell whether a later one still holds everything before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import exports

if TYPE_CHECKING:
    from engine.heads.history import History as History
    from engine.heads.history import RecordedRun as RecordedRun
    from engine.heads.read import HeadsState as HeadsState
    from engine.heads.read import installation_evidence as installation_evidence
    from engine.heads.read import look_at_heads as look_at_heads
    from engine.heads.read import read_history as read_history
    from engine.heads.read import recorded_heads as recorded_heads
    from engine.heads.record import begin_run as begin_run
    from engine.heads.record import close_run as close_run
    from engine.heads.record import closing as closing
    from engine.heads.record import destroy_run as destroy_run
    from engine.heads.record import record_head as record_head
    from engine.heads.record import require_key as require_key
    from engine.heads.run_heads import RunHeads as RunHeads
    from engine.heads.sealed_key import read_pin as read_pin

_HOMES = {
    ".history": ("History", "RecordedRun"),
    ".read": ("HeadsState", "installation_evidence", "look_at_heads", "read_history", "recorded_heads"),
    ".record": ("begin_run", "close_run", "closing", "destroy_run", "record_head", "require_key"),
    ".run_heads": ("RunHeads",),
    ".sealed_key": ("read_pin",),
}
__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = exports(__name__, _HOMES)
