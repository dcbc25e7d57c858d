"""A request as the list shows it: its record, and what only the screen knows of it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine import RequestRecord


class ShownRequest(RequestRecord, frozen=True, omit_defaults=True):
    """run: the name of the run that made it. open: it is not over; sizes and duration are those so far."""

    run: str = ""
    run_id: str = ""
    open: bool = False


class RequestId(msgspec.Struct):
    """As much of a record as tells which one it is."""

    id: str


class RequestEnd(msgspec.Struct):
    """As much of a record as tells when it was over."""

    ts: datetime
    duration_ms: int = 0
