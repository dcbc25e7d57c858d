"""What each runtime costs: until a command has started and ended, and while it works. Measured in pairs.

    python tests/benchmarks/runtimes.py [--pairs N] [--only bubblewrap|standard|gvisor]

    bubblewrap  `moat --no-ui run --runtime bubblewrap`  against  the bare command
    standard    `moat --no-ui run --no-sandbox`  against  `docker run --rm IMAGE`
    gvisor      `moat --no-ui run`  against  `docker run --rm --runtime runsc IMAGE`

For each, in every pair: `true` from start to end, both ways; then a command that times itself, both ways and
on this machine without any sandbox: a loop of the shell's (CPU) and a copy byte by byte (two system calls for
each). Gates: the starts' medians differ by at most 0.25 s (bubblewrap) or 0.5 s; the work takes at most 1.1
times as long as its baseline's, and 1.25 times where bubblewrap's filter is paired with no filter at all.

Prints a table and exits 1 when a gate is missed or something could not be measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from start_up import IMAGE, MOAT, CannotMeasure, environment, say, timed

RUN = (*MOAT, "--no-ui", "run")
DOCKER = ("docker", "run", "--rm")
# Both print nanoseconds; the first `date` has paid for the loading of the shell.
WORK = """
now() { date +%s%N; }
a=$(now); i=0; while [ $i -lt 600000 ]; do i=$((i+1)); done
b=$(now); dd if=/dev/zero of=/dev/null bs=1 count=200000 2>/dev/null
echo $((b-a)) $(($(now)-b))
"""
LONGEST = 120.0  # seconds


@dataclass(frozen=True)
class Case:
    """more: seconds that Moat's start may take over the baseline's. times: of the baseline's time that the
    CPU's and the system calls' work may take.
    """

    name: str
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    more: float
    times: tuple[float, float]


CASES = (
    Case("bubblewrap", (*RUN, "--runtime", "bubblewrap", "--"), (), 0.25, (1.1, 1.25)),
    Case("standard", (*RUN, "--image", IMAGE, "--no-sandbox", "--"), (*DOCKER, IMAGE), 0.5, (1.1, 1.1)),
    Case("gvisor", (*RUN, "--image", IMAGE, "--"), (*DOCKER, "--runtime", "runsc", IMAGE), 0.5, (1.1, 1.1)),
)


def worked(command: Sequence[str], cwd: Path, environ: dict[str, str]) -> tuple[float, float]:
    """Seconds of the CPU's and of the system calls' work, as the command itself saw them."""
    done = subprocess.run(
        [*command, "sh", "-c", WORK],
        cwd=cwd, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    try:
        loop, calls = (int(number) / 1e9 for number in done.stdout.split())
    except ValueError:
        said = done.stderr.decode(errors="replace").strip()[-400:]
        raise CannotMeasure(f"{' '.join(command)} exited {done.returncode}: {said}") from None
    return loop, calls


@dataclass(frozen=True)
class Pair:
    """Seconds. start: ours, theirs; loop and calls: ours, theirs, on this machine without any sandbox."""

    start: tuple[float, float]
    loop: tuple[float, float, float]
    calls: tuple[float, float, float]


def pair(case: Case, cwd: Path, environ: dict[str, str]) -> Pair:
    start = (timed((*case.ours, "true"), cwd, environ), timed((*case.theirs, "true"), cwd, environ))
    ours, theirs, bare = (worked(command, cwd, environ) for command in (case.ours, case.theirs, ()))
    return Pair(start, *zip(ours, theirs, bare, strict=True))


def measure(case: Case, count: int, cwd: Path, environ: dict[str, str]) -> bool:
    """Print its rows; whether all gates were kept."""
    try:
        pair(case, cwd, environ)  # the first one fills caches and makes keys; it is not counted
        pairs = [pair(case, cwd, environ) for _ in range(count)]
    except (CannotMeasure, OSError, subprocess.TimeoutExpired) as error:
        say(f"{case.name:<11}not measured: {error}")
        return False
    ours, theirs = (statistics.median(each.start[place] for each in pairs) for place in (0, 1))
    kept = [ours - theirs <= case.more]
    ratio = statistics.median(each.start[0] / each.start[1] for each in pairs)
    head = f"{case.name:<11}{'start':<14}{ours:>8.3f}{theirs:>10.3f}{ratio:>8.2f}{'':>10}"
    say(f"{head}  {ours - theirs:.3f} s more, gate {case.more:.2f}  {_said(kept[-1])}")
    loops, calls = [each.loop for each in pairs], [each.calls for each in pairs]
    for title, gate, work in (("CPU", case.times[0], loops), ("system calls", case.times[1], calls)):
        ours, theirs = (statistics.median(each[place] for each in work) for place in (0, 1))
        ratio = statistics.median(each[0] / each[1] for each in work)
        of_bare = statistics.median(each[0] / each[2] for each in work)
        kept.append(ratio <= gate)
        head = f"{'':<11}{title:<14}{ours:>8.3f}{theirs:>10.3f}{ratio:>8.2f}{of_bare:>10.2f}"
        say(f"{head}  gate {gate:.2f} times  {_said(kept[-1])}")
    return all(kept)


def _said(kept: bool) -> str:
    return "kept" if kept else "MISSED"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=7, help="measured pairs for each runtime (default: 7)")
    parser.add_argument("--only", choices=[case.name for case in CASES], action="append")
    wanted = parser.parse_args()
    say(f"{os.cpu_count()} cores, {wanted.pairs} pairs, medians in seconds")
    say(f"{'':<25}{'moat':>8}{'baseline':>10}{'ratio':>8}{'of bare':>10}")
    with tempfile.TemporaryDirectory(prefix="moat-runtimes-") as root:
        workspace, home = Path(root, "workspace"), Path(root, "home")
        workspace.mkdir()
        home.mkdir(mode=0o700)
        chosen = [case for case in CASES if not wanted.only or case.name in wanted.only]
        kept = [measure(case, wanted.pairs, workspace, environment(home)) for case in chosen]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
