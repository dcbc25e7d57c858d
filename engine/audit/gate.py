"""The gate: what could not be recorded must not happen. Here are its errors and what passes through it."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.audit.canonical import canonical_json
from engine.audit.types import EntryData, checked
from engine.errors import AuditGateClosed, MoatError


def utc_now() -> datetime:
    return datetime.now(UTC)


def prepare(entry: EntryData) -> tuple[str, dict[str, Any], str]:
    """(type, data, data_json) of an entry that may be written; AuditError for one that may not."""
    kind, data = entry
    data = checked(kind, data)
    return kind, data, canonical_json(data)


def reason_of(error: BaseException) -> str:
    """Why a write failed, in words; SQLite's own name of the error in brackets."""
    if isinstance(error, MoatError):
        return error.what
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL"):
        return f"the disk is full ({name})"
    if name.startswith("SQLITE_IOERR"):
        return f"the disk could not be written ({name})"
    if isinstance(error, sqlite3.Error):
        return f"{error} ({name})" if name else str(error)
    return f"{type(error).__name__}: {error}"


def gate_closed(path: Path, error: BaseException | str) -> AuditGateClosed:
    """The error for everything that now has to be refused."""
    return AuditGateClosed(
        f"the audit log {path} cannot be written, so nothing more is released",
        detail=error if isinstance(error, str) else reason_of(error),
        remedy="Free some space or repair the disk, then start a new run; what was recorded is kept.",
    )
