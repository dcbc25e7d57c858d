"""An installation with a key in a file, a clock that is set by hand, and runs that only exist in its log."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from engine.audit import RunKeys
from engine.audit.checkpoint import Checkpoint
from engine.audit.merkle import Frontier, leaf_hash
from engine.credentials import KeySource
from engine.heads import begin_run, close_run, destroy_run, known, record_head
from engine.home import Home

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **by: float) -> None:
        self.now += timedelta(**by)


class Run:
    """A run's keys and tree without a log of its own."""

    def __init__(self, machine: Machine, run_id: str) -> None:
        self.machine = machine
        self.id = run_id
        self.keys: RunKeys = begin_run(machine.home, machine.keys(), run_id, clock=machine.clock)
        self.tree = Frontier()

    def grow(self, entries: int = 1) -> Checkpoint:
        for _ in range(entries):
            self.tree.add(leaf_hash(str(self.tree.size).encode()))
        return Checkpoint(self.keys.origin, self.tree.size, self.tree.root())

    def head(self, entries: int = 1) -> str:
        note = str(self.grow(entries).sign(self.keys.signer))
        record_head(self.machine.home, self.id, note, clock=self.machine.clock)
        return note

    def close(self, reason: str = "exited") -> str:
        end = Checkpoint.closing(self.keys.origin, self.tree.size, self.tree.root(), reason)
        note = str(end.sign(self.keys.signer))
        close_run(self.machine.home, self.machine.keys(), self.id, note, clock=self.machine.clock)
        return note


class Machine:
    def __init__(self, home: Home) -> None:
        self.home = home
        self.clock = Clock()

    def keys(self) -> KeySource:
        return KeySource(self.home, {"MOAT_KEYRING_BACKEND": "file"})

    def run(self, run_id: str = "run_a1") -> Run:
        return Run(self, run_id)

    def sql(self, *statements: str) -> list[tuple[object, ...]]:
        """What somebody with the file does to it before another process reads it; returns the last rows."""
        known._known.clear()
        connection = sqlite3.connect(self.home.heads / "heads.db", isolation_level=None)
        try:
            rows = [connection.execute(statement).fetchall() for statement in statements]
        finally:
            connection.close()
        return rows[-1]


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(Home(tmp_path / "moat"))


@pytest.fixture(scope="session")
def life(tmp_path_factory) -> Machine:
    """Two days, three runs: one closed, one open, one destroyed."""
    machine = Machine(Home(tmp_path_factory.mktemp("life") / "moat"))
    first = machine.run("run_a1")
    first.head(3)
    machine.clock.pass_(seconds=10)
    first.head(2)
    first.close()
    machine.clock.pass_(hours=25)
    machine.run("run_b2").head(7)
    machine.run("run_c3").close("failed")
    destroy_run(machine.home, machine.keys(), "run_c3", clock=machine.clock)
    return machine


@pytest.fixture
def lived(machine: Machine, life: Machine) -> Machine:
    """A copy of `life` to do things to."""
    shutil.copytree(life.home.root, machine.home.root)
    machine.clock.now = life.clock.now
    return machine
