"""What group commit buys, what the tree costs, and how fast a log verifies.

    python tests/benchmarks/audit_commit.py

    group   64 askers at once share transactions  against  one asker, a transaction per entry
            gate: at least 2 times the entries a second
    tree    the same log with its tree and checkpoints  against  without, for 64 askers and for one
            gate: at most 30 % more time for each entry

Paired: the two sides of a comparison write the same entries on the same disk right after each other, in
turns, and the ratio is taken per pair and its median reported, so that a busy machine slows both sides.
A log is opened, and its first entry written, before the clock starts. Verification is of one log of 100,000
entries, best of three, without a gate here. Exits 1 when a gate is missed.
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

from engine.audit import AuditLog, RunKeys, Signer, append_and_close, credential, network, verify_log
from engine.audit.keys import installation_origin
from engine.home import Home

ASKERS = 64
ENTRY = credential("github", "intent", "api.github.com")
GROUP = 2.0  # times the entries a second
TREE = 1.3  # times the time


class Bench:
    """Writes one log after another below `home`."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._installation = Signer.generate()
        self._number = 0

    async def write(self, entries: int, askers: int, *, tree: bool) -> tuple[float, int]:
        """Seconds for `entries` acknowledged entries asked for by `askers` at a time, and transactions."""
        self._number += 1
        run = f"run_{self._number}"
        origin = installation_origin(self._installation.public_key)
        keys = RunKeys.begin(origin, run, self._installation) if tree else None

        async def ask(log: AuditLog, count: int) -> None:
            for _ in range(count):
                await log.append(ENTRY)

        async with await AuditLog.open(self.home, self.home.run(run) / "audit.db", keys=keys) as log:
            await log.append(ENTRY)
            commits = log.commits
            start = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(askers):
                    group.create_task(ask(log, entries // askers))
            return time.perf_counter() - start, log.commits - commits

    def pairs(
        self, rounds: int, entries: int, one: tuple[int, bool], other: tuple[int, bool]
    ) -> list[tuple[float, float]]:
        """Seconds an entry of either side (askers, tree), a pair a round; who goes first alternates."""
        found = []
        for number in range(rounds):
            sides = {}
            for askers, tree in (one, other) if number % 2 else (other, one):
                seconds, self.commits = asyncio.run(self.write(entries, askers, tree=tree))
                sides[askers, tree] = seconds / entries
            found.append((sides[one], sides[other]))
        return found


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


def say(name: str, value: str) -> None:
    sys.stdout.write(f"{name:<34} {value}\n")
    sys.stdout.flush()


def compared(name: str, pairs: Sequence[tuple[float, float]], gate: float, *, least: bool) -> bool:
    """Print the ratio one / other; whether it is at least, or at most, the gate."""
    ratios = sorted(one / other for one, other in pairs)
    ratio = statistics.median(ratios)
    kept = ratio >= gate if least else ratio <= gate
    word = "kept" if kept else "MISSED"
    gated = f"gate {'>=' if least else '<='} {gate:g}, {word}"
    say(name, f"{ratio:.2f} times (from {ratios[0]:.2f} to {ratios[-1]:.2f}), {gated}")
    return kept


def rate(seconds: Sequence[float]) -> str:
    return f"{1 / statistics.median(seconds):,.0f} entries/s"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--entries", type=int, default=1024, help="per round and side; a multiple of 64")
    parser.add_argument("--verify", type=int, default=100_000, help="entries of the log that is verified")
    parser.add_argument("--directory", type=Path, help="where to write; default: the temporary directory")
    options = parser.parse_args(arguments)
    entries = max(ASKERS, options.entries - options.entries % ASKERS)
    few = max(ASKERS, entries // 4 - entries // 4 % ASKERS)  # a commit for each takes its time
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        home = Home(Path(directory).resolve() / "moat")
        bench = Bench(home)
        grouped = bench.pairs(options.rounds, few, (1, True), (ASKERS, True))
        say("one asker, a commit per entry", rate([alone for alone, _ in grouped]))
        trees = bench.pairs(options.rounds, entries, (ASKERS, True), (ASKERS, False))
        say(f"{ASKERS} askers, group commit", rate([tree for tree, _ in trees]))
        say("the same without a tree", rate([bare for _, bare in trees]))
        kept = [
            compared("group commit, entries a second", grouped, GROUP, least=True),
            compared(f"the tree, time with {ASKERS} askers", trees, TREE, least=False),
            compared(
                "the tree, time with one asker",
                bench.pairs(options.rounds, few, (1, True), (1, False)),
                TREE,
                least=False,
            ),
        ]
        say(f"verify {options.verify:,} entries", f"{verify_rate(home, options.verify):,.0f} entries/s")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
