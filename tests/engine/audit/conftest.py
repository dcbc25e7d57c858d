"""Logs to work on: `chain` makes rows without a database, `written` a finished log on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.audit import Signer, append_and_close, console, container, credential
from engine.home import Home

SEED = bytes(range(32))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "moat")


@pytest.fixture
def path(home: Home) -> Path:
    return home.run("run_a1") / "audit.db"


@pytest.fixture
def signer() -> Signer:
    return Signer(SEED)


def begin(home: Home, path: Path) -> None:
    """What `AuditLog.open` does first: a private, empty file."""
    home.ensure_dir(path.parent)
    path.touch(0o600)


@pytest.fixture
def written(home: Home, path: Path, signer: Signer) -> Path:
    """Ten entries, signed and closed."""
    begin(home, path)
    lines = [console(f"line {number}") for number in range(8)]
    append_and_close(
        home, path, [container("created"), credential("github", "intent", "api.github.com"), *lines], signer
    )
    return path


@pytest.fixture
def edit(written: Path) -> Callable[..., None]:
    """Run SQL on the finished log, as somebody with the file would."""

    def run(*statements: str) -> None:
        connection = sqlite3.connect(written, isolation_level=None)
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()

    return run
