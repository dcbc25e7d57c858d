"""Threat 37 for real: a writer that is killed, a torn WAL, a full disk. What was acknowledged verifies."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.run_keys import keys_of

from engine.audit import Signer, append_and_close, console, container, read_entries, verify_log
from engine.audit.gate import prepare, utc_now
from engine.audit.keys import installation_origin, run_origin
from engine.audit.store import Store
from engine.home import Home

KILLS = 200
MEMORY = Path("/dev/shm")
END = container("interrupted")

# Prints each seq only after `append` returned; several askers, so that groups form.
WRITER = """
import asyncio, os, random, resource, signal, sys, time
from pathlib import Path
from engine.audit import AuditLog, RunKeys, Signer, console
from engine.audit import finish, sealer, store  # before any fork, so that a child is quick
from engine.audit.keys import installation_origin
from engine.errors import AuditGateClosed
from engine.home import Home

signer = Signer(bytes(range(32)))
installation = installation_origin(signer.public_key)

async def ask(log, name, count, out):
    for number in range(count):
        entry = await log.append(console(f"{name}-{number} " + "x" * 200))
        os.write(out, f"{entry.seq} {entry.hash}\\n".encode())

async def write(home, run, count, out, limit=0):
    keys = RunKeys.begin(installation, run, signer)
    log = await AuditLog.open(home, home.run(run) / "audit.db", keys=keys)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    results = await asyncio.gather(*(ask(log, n, count, out) for n in range(8)), return_exceptions=True)
    assert all(r is None or isinstance(r, AuditGateClosed) for r in results), results
    if log.closed_because:
        os.write(out, f"gate closed: {log.closed_because}\\n".encode())
    await log.close()

def killed(home, run, delay):
    '''Fork a writer and kill it after `delay` seconds (None: never); what it told until then.'''
    out, into = os.pipe()
    child = os.fork()
    if not child:
        os.close(out)
        try:
            asyncio.run(write(home, run, 60, into))
        finally:
            os._exit(0)
    os.close(into)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(out) as told:
        lines = told.readlines()
    os.waitpid(child, 0)
    return lines

home = Home(Path(sys.argv[1]))
if sys.argv[2] == "full":
    asyncio.run(write(home, "run_a1", 100_000, 1, 600_000))
else:
    sealer.ROTATION = 0.01
    signer.public_key, Signer.ephemeral()
    moments = random.Random(7)
    began = time.monotonic()
    killed(home, "run_whole", None)
    life = time.monotonic() - began
    for number in range(int(sys.argv[3])):
        for line in killed(home, f"run_{number}", moments.uniform(0.0, life)):
            if line.endswith("\\n"):
                print(number, line, end="", flush=True)
"""


@pytest.fixture
def quick_home(tmp_path: Path) -> Iterator[Home]:
    """Where waiting for the disk costs nothing: a killed process takes no page of the kernel's with it."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path) as directory:
        yield Home(Path(directory) / "moat")


def run(home: Home, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(home.root), *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def held(path: Path) -> dict[int, str]:
    return {entry.seq: entry.hash for entry in read_entries(path, limit=200_000)}


def test_kill_9_at_any_moment_loses_nothing_that_was_acknowledged(quick_home: Home, signer: Signer):
    home = quick_home
    told: dict[int, dict[int, str]] = {number: {} for number in range(KILLS)}
    for line in run(home, "kill", str(KILLS)):
        number, seq, digest = line.split()
        told[int(number)][int(seq)] = digest
    installation = installation_origin(signer.public_key)
    ends = {"born": 0, "written": 0, "closed": 0}
    for number, acknowledged in told.items():
        path = home.run(f"run_{number}") / "audit.db"
        if not path.exists():
            assert not acknowledged
            continue
        if acknowledged:
            verdict = verify_log(path, public_key=signer.public_key)  # as the next command finds it
            assert verdict.valid, verdict
        origin = run_origin(installation, f"run_{number}")
        added = append_and_close(home, path, [END], signer, origin=origin)
        ends["closed" if not added else "written" if acknowledged else "born"] += 1
        verdict = verify_log(path, public_key=signer.public_key, finished=True)
        # Cut off before its tree, and nobody said which key the run had been given: nobody vouches for it.
        unborn = verdict.error == "the log has no certificate of its run's key" and not acknowledged
        assert verdict.valid or unborn, verdict
        assert acknowledged.items() <= held(path).items()
    assert ends["written"] > KILLS / 20, ends  # the moments are where they should be


def test_a_torn_wal_loses_nothing_that_was_in_it_whole(home: Home, path: Path, signer: Signer):
    """A power cut may leave any part of the last, unacknowledged, transaction; an older one stays."""
    store = Store.open(home, path, keys_of(signer))
    wal = path.with_name(path.name + "-wal")
    sizes = []
    for number in range(40):
        store.append([(utc_now(), *prepare(console(f"{number}-{n}"))) for n in range(10)])
        sizes.append(wal.stat().st_size)
    moments = random.Random(7)
    origin = keys_of(signer).origin
    for number in range(60):
        copy = home.run(f"run_{number}") / "audit.db"
        home.ensure_dir(copy.parent)
        shutil.copy(path, copy)
        _tear(wal.read_bytes(), sizes, copy, moments, cut=bool(number % 2))
        whole = _acknowledged(sizes, copy)
        left = verify_log(copy, public_key=signer.public_key)
        assert left.valid or not whole, left
        assert left.entry_count >= whole
        append_and_close(home, copy, [END], signer, origin=origin)
        assert verify_log(copy, public_key=signer.public_key, finished=True).valid
        assert list(held(copy).items())[:whole] == list(held(path).items())[:whole]
    store.close()


def _tear(data: bytes, sizes: Sequence[int], copy: Path, moments: random.Random, *, cut: bool) -> None:
    """Write the WAL of `copy`: cut off, or garbled from some place in its last transaction on."""
    at = moments.randrange(sizes[0], len(data))
    torn = data[:at] if cut else data[:at] + moments.randbytes(len(data) - at)
    copy.with_name("audit.db-wal").write_bytes(torn)
    copy.with_name("torn").write_text(str(at))


def _acknowledged(sizes: Sequence[int], copy: Path) -> int:
    at = int(copy.with_name("torn").read_text())
    return 10 * sum(size <= at for size in sizes)


def test_a_full_disk_closes_the_gate_and_keeps_what_was_acknowledged(home: Home, path: Path, signer: Signer):
    """RLIMIT_FSIZE fails the write in the kernel, where a full disk would."""
    *acknowledged, last = run(home, "full")
    assert last.startswith("gate closed: the disk")
    told = {int(line.split()[0]): line.split()[1] for line in acknowledged}
    assert told
    assert verify_log(path, public_key=signer.public_key).valid
    append_and_close(home, path, [END], signer)  # when there is space again
    assert verify_log(path, public_key=signer.public_key, finished=True).valid
    assert told.items() <= held(path).items()
