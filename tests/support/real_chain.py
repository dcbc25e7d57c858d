"""Real audit logs in a home, and a face that reads them as the engine does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from support.screen_home import FakeFace

from engine import Home
from engine.audit import Signer, append_and_close, console, container, credential, policy
from engine.audit.types import EntryData
from moat_tui.screen.engine_face import Engine


class ChainFace(FakeFace):
    """Everything about audit logs from the real files; `hold` keeps verifications from going on."""

    audit_stamp = Engine.audit_stamp
    entries = Engine.entries
    audit_counts = Engine.audit_counts
    audit_pages = Engine.audit_pages
    audit_page = Engine.audit_page
    audit_newest = Engine.audit_newest
    audit_place = Engine.audit_place
    hold: Callable[[str], bool] = staticmethod(lambda run_id: False)

    def verify(self, run_id, progress, cancelled):
        self.calls.append(("verify", run_id))
        while self.hold(run_id) and not cancelled():
            progress(450, 1000)
        return Engine.verify(self, run_id, progress, lambda: cancelled() or self.hold(run_id))


def chain(lines: int = 8) -> list[EntryData]:
    return [
        container("created"),
        credential("github", "intent", "api.github.com"),
        policy("network", "CONNECT evil.test:443", "denied"),
        *(console(f"line {number}") for number in range(lines)),
    ]


def write_chain(home: Home, run_id: str, entries: Iterable[EntryData]) -> Path:
    """A finished, signed log."""
    path = home.ensure_dir(home.run(run_id)) / "audit.db"
    path.touch(0o600)
    signer = Signer(bytes(range(32)))
    home.write(home.heads / "signing.pub", signer.public_key.hex().encode())  # what vouches for it
    append_and_close(home, path, list(entries), signer)
    return path


def tamper(path: Path, statement: str) -> None:
    """Change a finished log as somebody with the file would."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
