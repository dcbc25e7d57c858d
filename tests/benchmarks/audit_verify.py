"""How fast a log and a proof bundle verify. Run: python tests/benchmarks/audit_verify.py

One log of a million entries, of the types and sizes that an agent's run has (six of ten console lines, the
others requests and uses of credentials), sealed every 256 entries by the run's own keys and closed. Verified
with a progress callback, as the command line and the screen do; the bundle is its first part, as large as a
bundle may be. One thread does it all, so the gates are on this process's CPU time, which is the wall time of
a machine that has nothing else to do; best of --rounds, wall time beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.audit import (
    Installation,
    Signer,
    Verdict,
    canonical_json,
    export_bundle,
    verify_bundle,
    verify_log,
)
from engine.audit.checkpoint import Checkpoint
from engine.audit.keys import installation_origin
from engine.audit.leaf import leaf_hasher
from engine.audit.merkle import Frontier
from engine.audit.run_keys import RunKeys
from engine.audit.standalone import moat_verify
from engine.audit.store import SCHEMA, TREE_SCHEMA
from engine.audit.tree import frontier_json

SECONDS = 8.0  # for a million entries of a log
RATE = 130_000.0  # entries a second, of a bundle
TS = "2026-01-12T10:{:02}:{:02}.{:06}Z"


def kinds() -> list[tuple[str, str]]:
    line = {"line": "  Compiling serde_json v1.0.117 (/workspace/vendor/serde_json) \u2026 done"}
    plain = {"line": "running 42 tests in src/lib.rs, 0 ignored, 0 measured"}
    request = {
        "method": "GET",
        "url": "https://api.github.com/repos/a/b/pulls",
        "status_code": 200,
        "duration_ms": 87,
        "credential_used": "github",
    }
    use = {"name": "github", "action": "intent", "host": "api.github.com"}
    mixed = ["console"] * 6 + ["network"] * 2 + ["credential"] * 2
    data = {"network": request, "credential": use}
    return [
        (kind, canonical_json(data.get(kind, line if number % 2 else plain)))
        for number, kind in enumerate(mixed)
    ]


def write(path: Path, entries: int, signer: Signer) -> None:
    """A closed log with a tree, written past the writer: this measures the reader."""
    keys = RunKeys.begin(installation_origin(signer.public_key), "run_bench", signer, "2026-01-12T09:00:00Z")
    seed, frontier, checkpoints, previous = bytes(32), Frontier(), [], ""
    leaf, shapes = leaf_hasher(seed), kinds()

    def rows() -> object:
        nonlocal previous
        for seq in range(1, entries + 1):
            kind, text = shapes[seq % 10]
            ts = TS.format(seq // 60_000_000 % 60, seq // 1_000_000 % 60, seq % 1_000_000 or 1).replace(
                "0Z", "1Z"
            )
            parts = seq.to_bytes(8, "big") + (ts + kind + previous + text).encode()
            digest = hashlib.sha256(parts).hexdigest()
            yield seq, ts, kind, previous, text, digest
            previous = digest
            frontier.add(leaf(seq, ts, kind, text))
            if seq % 256 == 0 and seq < entries:
                said = Checkpoint(keys.origin, seq, frontier.root())
                checkpoints.append((seq, str(said.sign(keys.signer))))

    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA + TREE_SCHEMA)
    connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", rows())
    closing = Checkpoint.closing(keys.origin, entries, frontier.root(), "exited")
    checkpoints.append((entries, str(closing.sign(keys.signer))))
    connection.executemany("INSERT INTO checkpoints VALUES (?, ?)", checkpoints)
    connection.executemany("INSERT INTO keys VALUES (?, ?)", [(0, str(keys.certificates[0]))])
    metadata = {"origin": keys.origin, "tree_seed": seed.hex(), "frontier": frontier_json(frontier)}
    connection.executemany("INSERT INTO metadata VALUES (?, ?)", metadata.items())
    connection.commit()
    connection.close()


def best(rounds: int, work: Callable[[], Verdict], entries: int) -> tuple[float, float]:
    """Seconds of CPU time, and of wall time."""
    found = []
    for _ in range(rounds):
        start = time.process_time(), time.perf_counter()
        verdict = work()
        found.append((time.process_time() - start[0], time.perf_counter() - start[1]))
        if (verdict.verdict, verdict.entry_count) != ("INTACT", entries):
            raise SystemExit(f"the benchmark's own log does not verify: {verdict.verdict} {verdict.error}")
    return min(found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--bundle", type=int, default=300_000, help="entries of the bundle")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    signer, told = Signer(bytes(range(32))), 0
    key = signer.public_key

    def progress(done: int, total: int) -> None:
        nonlocal told
        told += 1

    with tempfile.TemporaryDirectory() as directory:
        path, smaller = Path(directory) / "audit.db", Path(directory) / "smaller.db"
        write(path, options.entries, signer)
        write(smaller, options.bundle, signer)
        log, wall = best(
            options.rounds, lambda: verify_log(path, public_key=key, progress=progress), options.entries
        )
        start = time.process_time()
        data = export_bundle(smaller, installation=Installation(key))
        export = time.process_time() - start
        bundle, bundle_wall = best(options.rounds, lambda: verify_bundle(data, key), options.bundle)
        printed = json.dumps(json.loads(data), indent=1).encode()
        indented, _ = best(1, lambda: verify_bundle(printed, key), options.bundle)
        start = time.process_time()
        moat_verify.verify(data, key)
        alone = time.process_time() - start
    if not told:
        raise SystemExit("no progress was told")
    allowed = SECONDS * options.entries / 1e6

    def rate(seconds: float) -> str:
        return f"{options.bundle / seconds:,.0f} entries/s"

    table = [
        (
            f"verify a log of {options.entries:,} entries",
            f"{log:.1f} s",
            f"at most {allowed:.1f}; wall {wall:.1f} s",
        ),
        (
            f"verify a bundle of {options.bundle:,}",
            rate(bundle),
            f"at least {RATE:,.0f}; wall {rate(bundle_wall)}",
        ),
        ("… printed with blanks", rate(indented), ""),
        ("… with moat_verify.py", rate(alone), ""),
        ("export it", rate(export), ""),
    ]
    for name, value, gate in table:
        sys.stdout.write(f"{name:<40} {value:>20}   {gate}\n")
    return int(log > allowed or options.bundle / bundle < RATE)


if __name__ == "__main__":
    sys.exit(main())
