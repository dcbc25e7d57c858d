"""A snapshot's header: `<id>.json` on its workspace's shelf. Sizes are bytes; times RFC 3339 UTC."""

from __future__ import annotations

import msgspec

from engine.workspace.record import LeftOut

START, ASKED, SAFETY = "start", "asked", "safety"
VERSION = 1


class SnapshotInfo(msgspec.Struct, frozen=True):
    """reason: at the run's start, asked for, or for safety before another one was put back.

    stored: what it added to the shelf; torn: files that went on changing while they were read.
    table: SHA-256 of its table, hex; taken: its beginning, in nanoseconds of the Unix clock.
    """

    id: str
    run_id: str
    workspace: str
    at: str
    reason: str
    taken: int
    table: str
    label: str = ""
    files: int = 0
    folders: int = 0
    links: int = 0
    bytes: int = 0
    stored: int = 0
    torn: int = 0
    left_out: tuple[LeftOut, ...] = ()
    version: int = VERSION

    @property
    def whole(self) -> bool:
        return not self.left_out and not self.torn
