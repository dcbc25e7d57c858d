"""How long a person waits for Moat to answer, measured in pairs: A B A B …, so that noise hits both alike.

    python tests/benchmarks/start_up.py [--pairs N] [--only list|grants|screen]

    list    `moat --no-ui list` beside 50 ended runs  against  `python -c pass`
            gate: its median is at most 0.25 s
    grants  `moat --no-ui grant list` beside 500 ended runs that used grants  against  `python -c pass`
            gate: its median is at most 0.5 s
    screen  `moat` in a 120x40 terminal until all four panes are painted  against  `python -c pass`
            gate: its median is at most 0.7 s

Prints a table and exits 1 when a gate is missed or something could not be measured. Only the standard
library is used, everything is written below a temporary MOAT_HOME, and every wait is bounded.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import pty
import select
import statistics
import struct
import subprocess
import sys
import sysconfig
import tempfile
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

IMAGE = "debian:bookworm-slim"
MOAT = (sys.executable, "-m", "moat_tui")
NOTHING = (sys.executable, "-c", "pass")
PANES = (b"Runs", b"Requests", b"Grants", b"Audit")
COLUMNS, ROWS = 120, 40
LONGEST = 60.0  # seconds for any one start
ENDED_RUNS = 50
MANY_RUNS = 500


class CannotMeasure(Exception):
    """The thing to be measured does not work here."""


@dataclass(frozen=True)
class Case:
    """What is timed against what; `judge` makes the gated figure of the two medians, all in seconds."""

    name: str
    ours: Callable[[], float]
    theirs: Callable[[], float]
    judge: Callable[[float, float], float]
    gate: float
    of: str


def timed(command: tuple[str, ...], cwd: Path, environ: dict[str, str]) -> float:
    """Seconds of wall time of one run of `command`, which has to succeed."""
    began = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LONGEST,
        check=False,
    )
    took = time.perf_counter() - began
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-400:]
        raise CannotMeasure(f"{' '.join(command)} exited {done.returncode}: {said}")
    return took


def first_paint(cwd: Path, environ: dict[str, str]) -> float:
    """Seconds from starting `moat` in a terminal until the names of all four panes were written to it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    began = time.perf_counter()
    process = subprocess.Popen(
        MOAT, cwd=cwd, env=environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    seen = b""
    try:
        while not all(pane in seen for pane in PANES):
            left = LONGEST - (time.perf_counter() - began)
            if left <= 0 or not select.select([master], [], [], left)[0]:
                raise CannotMeasure(f"no full frame within {LONGEST:g} s")
            try:
                data = os.read(master, 1 << 16)
            except OSError:  # Linux says EIO when the other end is closed
                data = b""
            if not data:
                said = seen.decode(errors="replace").strip()[-400:]
                raise CannotMeasure(f"moat ended before it painted: {said}")
            seen += data
            if b"Traceback" in seen:
                raise CannotMeasure("moat showed a traceback instead of its panes")
        return time.perf_counter() - began
    finally:
        process.kill()
        process.wait(timeout=LONGEST)
        os.close(master)


def put_runs(home: Path, count: int) -> None:
    """Ended runs as a supervisor leaves them, so that `list` has something to read."""
    for number in range(count):
        run = home / "runs" / f"run_{number:012x}"
        run.mkdir(parents=True, mode=0o700)
        (run / "metadata.json").write_text(
            json.dumps(
                {
                    "id": run.name,
                    "name": f"run-{number}",
                    "created_at": f"2026-01-12T10:{number // 60:02}:{number % 60:02}Z",
                    "state": "exited",
                    "exit_code": 0,
                    "command": ["true"],
                    "grants": ["github"],
                }
            )
        )
        used = {"github": {"last_used_at": "2026-01-12T10:00:00Z", "uses": 3}}
        (run / "usage.json").write_text(json.dumps(used))


def environment(home: Path) -> dict[str, str]:
    # An installed Moat is compiled; without a cache every start would compile all of it again.
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**usual, "MOAT_HOME": str(home), "MOAT_KEYRING_BACKEND": "file", "TERM": "xterm-256color"}


def cases(root: Path) -> list[Case]:
    workspace, home = root / "workspace", root / "home"
    workspace.mkdir()
    home.mkdir(mode=0o700)
    put_runs(home, ENDED_RUNS)
    many = root / "many"
    many.mkdir(mode=0o700)
    put_runs(many, MANY_RUNS)
    environ, beside_many = environment(home), environment(many)
    bare = lambda: timed(NOTHING, workspace, environ)  # noqa: E731
    return [
        Case(
            "list",
            lambda: timed((*MOAT, "--no-ui", "list"), workspace, environ),
            bare,
            lambda ours, theirs: ours,
            0.25,
            "in all",
        ),
        Case(
            "grants",
            lambda: timed((*MOAT, "--no-ui", "grant", "list"), workspace, beside_many),
            bare,
            lambda ours, theirs: ours,
            0.5,
            "in all",
        ),
        Case(
            "screen",
            lambda: first_paint(workspace, environ),
            bare,
            lambda ours, theirs: ours,
            0.7,
            "in all",
        ),
    ]


def measure(case: Case, pairs: int) -> bool:
    """Print one row; whether the gate was kept."""
    try:
        case.ours(), case.theirs()  # the first ones fill caches and make keys; they are not counted
        both = [(case.ours(), case.theirs()) for _ in range(pairs)]
    except (CannotMeasure, OSError, subprocess.TimeoutExpired) as error:
        say(f"{case.name:<11}not measured: {error}")
        return False
    ours = statistics.median(mine for mine, _ in both)
    theirs = statistics.median(other for _, other in both)
    ratio = statistics.median(mine / other for mine, other in both)
    judged = case.judge(ours, theirs)
    kept = judged <= case.gate
    figures = f"{ours:>7.3f}{theirs:>11.3f}{ratio:>8.2f}{judged:>9.3f} {case.of:<22}{case.gate:>5.2f}"
    say(f"{case.name:<11}{figures}  {'kept' if kept else 'MISSED'}")
    return kept


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=7, help="measured pairs for each case (default: 7)")
    parser.add_argument("--only", choices=("list", "grants", "screen"), action="append")
    wanted = parser.parse_args()
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    python = f"Python {platform.python_version()} ({'with' if optimised else 'without'} PGO)"
    say(f"{python}, {os.cpu_count()} cores, {wanted.pairs} pairs, medians in seconds")
    say(f"{'':<11}{'moat':>7}{'baseline':>11}{'ratio':>8}{'judged':>9} {'':<22}{'gate':>5}")
    with tempfile.TemporaryDirectory(prefix="moat-start-up-") as root:
        chosen = [case for case in cases(Path(root)) if not wanted.only or case.name in wanted.only]
        kept = [measure(case, wanted.pairs) for case in chosen]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
