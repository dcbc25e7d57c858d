"""Killed at any moment, and several at once: one log, one usable key, nothing lost that was acknowledged."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import pytest

from engine.heads import closing, read_history
from engine.heads.installation import SealedKey
from engine.heads.sealed_key import NEXT
from engine.heads.store import HeadsLog

# Every run is begun a day after the one before, so every one replaces the key. Prints what is durable.
LIVES = """
import os, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from engine.audit.checkpoint import Checkpoint
from engine.credentials import KeySource
from engine.heads import begin_run, close_run, record_head
from engine.home import Home

home, name, first, count = Home(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
keys = KeySource(home, {"MOAT_KEYRING_BACKEND": "file"})
os.write(1, b"ready\\n")
for number in range(first, first + count):
    clock = lambda: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=number)
    run_id = f"run_{name}{number}"
    run = begin_run(home, keys, run_id, clock=clock)
    os.write(1, f"start {run_id}\\n".encode())
    head = Checkpoint(run.origin, 1, bytes(32))
    record_head(home, run_id, str(head.sign(run.signer)), clock=clock)
    os.write(1, f"head {run_id}\\n".encode())
    end = Checkpoint.closing(run.origin, 1, bytes(32), "exited")
    close_run(home, keys, run_id, str(end.sign(run.signer)), clock=clock)
    os.write(1, f"close {run_id}\\n".encode())
"""


def lives(machine, name, first=0, count=1_000_000):
    arguments = [sys.executable, "-c", LIVES, str(machine.home.root), name, str(first), str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def told(history):
    runs = history.runs.values()
    return (
        {f"start {run.run}" for run in runs if run.start}
        | {f"head {run.run}" for run in runs if run.head}
        | {f"close {run.run}" for run in runs if run.closed}
    )


def test_kill_9_at_any_moment(machine):
    chance = random.Random(6)
    acknowledged: set[str] = set()
    runs = 0
    for _ in range(12):
        with lives(machine, "k", first=runs) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(1 + chance.randrange(12))]
            # From here the moment is the machine's: anywhere in the next few milliseconds.
            signal.sigtimedwait([], chance.random() * 0.02)
            os.kill(process.pid, signal.SIGKILL)
            lines += process.stdout.readlines()
        acknowledged |= {line.strip() for line in lines if line.endswith("\n")} - {"ready"}
        runs += 1000
        history = read_history(machine.home)
        if history is not None:
            assert history.fault == ""
            assert acknowledged <= told(history)
    with closing(machine.home, machine.keys(), "run_x", clock=machine.clock) as after:
        assert after.signer is not None
    assert len(read_history(machine.home).certificates) > 12
    assert not (machine.home.heads / NEXT).exists()


class Killed(BaseException):
    pass


def at_once(*arguments):
    raise Killed


def afterwards(target, name):
    real = getattr(target, name)

    def killed(*arguments, **named):
        real(*arguments, **named)
        raise Killed

    return killed


@pytest.mark.parametrize("first", [True, False], ids=["first-run", "later"])
@pytest.mark.parametrize(
    ("target", "name", "when", "changed"),
    [
        (SealedKey, "prepare", "before", False),
        (SealedKey, "prepare", "after", False),
        (HeadsLog, "change_key", "after", False),
        (HeadsLog, "sign", "after", False),
        (HeadsLog, "save", "after", False),
        (SealedKey, "promote", "before", True),
        (os, "replace", "before", True),
        (SealedKey, "promote", "after", True),
    ],
)
def test_every_step_of_a_new_key(machine, monkeypatch, target, name, when, changed, first):
    machine.run("run_a1")
    if not first:
        machine.clock.pass_(days=1)
        machine.run("run_b2")
    keys = len(read_history(machine.home).certificates)
    machine.clock.pass_(days=1)
    with monkeypatch.context() as patch:
        if target is os:  # the first one puts the successor beside the current key
            real, calls = os.replace, []

            def replace(*arguments):
                calls.append(arguments)
                return real(*arguments) if len(calls) == 1 else at_once()

            patch.setattr(os, name, replace)
        else:
            patch.setattr(target, name, at_once if when == "before" else afterwards(target, name))
        with pytest.raises(Killed):
            machine.run("run_c3")
    history = read_history(machine.home)
    assert (history.fault, len(history.certificates) - keys) == ("", changed)
    assert ("run_c3" in history.runs) == changed
    machine.run("run_d4")
    history = read_history(machine.home)
    assert (history.fault, len(history.certificates) - keys) == ("", 1)
    assert not (machine.home.heads / NEXT).exists()


@pytest.mark.parametrize("name", ["pin", "choose", "number"])
def test_every_step_of_the_first_command(machine, monkeypatch, name):
    with monkeypatch.context() as patch:
        patch.setattr(SealedKey, name, at_once)
        with pytest.raises(Killed):
            machine.run("run_a1")
    machine.run("run_b2")
    pin = (machine.home.heads / "signing.pub").read_bytes()
    machine.run("run_c3")
    assert read_history(machine.home).fault == ""
    assert (machine.home.heads / "signing.pub").read_bytes() == pin


def test_four_at_once(machine):
    processes = [lives(machine, name, count=12) for name in "abcd"]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    history = read_history(machine.home)
    assert history.fault == ""
    assert set("".join(outputs).split("\n")) - {"", "ready"} <= told(history)
    assert history.size == 4 * 12 * 3 + len(history.certificates)
    assert len(history.runs) == 48
