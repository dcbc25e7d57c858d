"""Threat 37 for real: a writer that is killed, a disk that is full. What was acknowledged verifies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.audit import Signer, append_and_close, container, read_entries, verify_log
from engine.home import Home

# Prints each seq only after `append` returned; several askers, so that groups form.
WRITER = """
import asyncio, os, resource, sys
from pathlib import Path
from engine.audit import AuditLog, console
from engine.errors import AuditGateClosed
from engine.home import Home

async def ask(log, name):
    for number in range(100_000):
        entry = await log.append(console(f"{name}-{number} " + "x" * 200))
        os.write(1, f"{entry.seq} {entry.hash}\\n".encode())

async def main(root, limit):
    home = Home(Path(root))
    log = await AuditLog.open(home, home.run("run_a1") / "audit.db")
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    results = await asyncio.gather(*(ask(log, n) for n in range(8)), return_exceptions=True)
    assert all(isinstance(r, AuditGateClosed) for r in results), results
    print("gate closed:", log.closed_because, flush=True)
    await log.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def start(home: Home, limit: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home.root), str(limit)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("after", [1, 40, 333, 1500])
def test_kill_9_loses_nothing_that_was_acknowledged(home: Home, path: Path, signer: Signer, after: int):
    with start(home) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline() for _ in range(after)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += writer.stdout.readlines()
    told = {int(line.split()[0]): line.split()[1] for line in acknowledged if line.endswith("\n")}
    assert len(told) >= after

    verdict = verify_log(path)  # as the reaper finds it
    assert verdict.valid
    assert verdict.entry_count >= max(told)
    append_and_close(home, path, [container("stopped", reason="interrupted")], signer)
    assert verify_log(path, public_key=signer.public_key, finished=True).valid
    assert told.items() <= {e.seq: e.hash for e in read_entries(path, limit=200_000)}.items()


def test_a_full_disk_closes_the_gate_and_keeps_what_was_acknowledged(home: Home, path: Path):
    """RLIMIT_FSIZE fails the write in the kernel, where a full disk would."""
    with start(home, limit=600_000) as writer:
        output, _ = writer.communicate(timeout=60)
    assert writer.returncode == 0
    *acknowledged, last = output.splitlines()
    assert last.startswith("gate closed: the disk")
    told = {int(line.split()[0]): line.split()[1] for line in acknowledged}
    assert told
    assert verify_log(path).valid
    assert told.items() <= {e.seq: e.hash for e in read_entries(path, limit=200_000)}.items()
