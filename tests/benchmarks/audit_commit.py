"""What group commit buys and how fast a log verifies. Run: python -m tests.benchmarks.audit_commit

Paired: each round writes the same entries once with one asker (a transaction per entry) and once with
many at the same time (grouped), on the same disk right after each other; the ratio is taken per round
and its median reported, so that a busy machine slows both sides of a pair. Verification is of one log
of 100,000 entries, best of three.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from engine.audit import AuditLog, append_and_close, credential, network, verify_log
from engine.home import Home

ASKERS = 64
ENTRY = credential("github", "intent", "api.github.com")


async def write(home: Home, run: str, entries: int, askers: int) -> tuple[float, int]:
    """Seconds for `entries` acknowledged entries asked for by `askers` at a time, and the transactions."""

    async def ask(log: AuditLog, count: int) -> None:
        for _ in range(count):
            await log.append(ENTRY)

    async with await AuditLog.open(home, home.run(run) / "audit.db") as log:
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(askers):
                group.create_task(ask(log, entries // askers))
        return time.perf_counter() - start, log.commits


def verify_rate(home: Home, entries: int) -> float:
    """Entries a second, best of three."""
    path = home.run("run_verify") / "audit.db"
    home.ensure_dir(path.parent)
    path.touch(0o600)
    entry = network("GET", "https://api.github.com/repos/a/b/pulls", 200, 87, credential_used="github")
    append_and_close(home, path, [entry] * entries)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        verdict = verify_log(path)
        best = min(best, time.perf_counter() - start)
        if not verdict.valid or verdict.entry_count != entries:
            raise SystemExit(f"the benchmark's own log does not verify: {verdict.error}")
    return entries / best


def measure(home: Home, rounds: int, entries: int) -> tuple[list[float], list[float], int]:
    """Entries a second alone and grouped, a pair per round, and the transactions of all grouped rounds."""
    alone, grouped, commits = [], [], 0
    for number in range(rounds):
        seconds, _ = asyncio.run(write(home, f"run_alone{number}", entries, 1))
        alone.append(entries / seconds)
        seconds, transactions = asyncio.run(write(home, f"run_group{number}", entries, ASKERS))
        grouped.append(entries / seconds)
        commits += transactions
    return alone, grouped, commits


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=1024, help="per round; a multiple of 64")
    parser.add_argument("--verify", type=int, default=100_000, help="entries of the log that is verified")
    parser.add_argument("--directory", type=Path, help="where to write; default: the temporary directory")
    options = parser.parse_args(arguments)
    entries = max(ASKERS, options.entries - options.entries % ASKERS)
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        home = Home(Path(directory).resolve() / "moat")
        alone, grouped, commits = measure(home, options.rounds, entries)
        rate = verify_rate(home, options.verify)
    ratios = [many / one for one, many in zip(alone, grouped, strict=True)]
    table = [
        ("one asker, a commit per entry", f"{statistics.median(alone):,.0f} entries/s"),
        (f"{ASKERS} askers, group commit", f"{statistics.median(grouped):,.0f} entries/s"),
        ("entries in a group", f"{entries * options.rounds / commits:.1f} on average"),
        (
            "ratio, median of pairs",
            f"{statistics.median(ratios):.1f} (from {min(ratios):.1f} to {max(ratios):.1f})",
        ),
        (f"verify {options.verify:,} entries", f"{rate:,.0f} entries/s"),
    ]
    for name, value in table:
        sys.stdout.write(f"{name:<32} {value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
