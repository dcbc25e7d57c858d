"""What a request costs the proxy with 20 grants loaded, beside one. Run: python tests/benchmarks/grants.py

Both runs' proxies, with everything on, live in one process, so that neither has the luckier memory. Blocks of
requests go through one and the other in turn, over a connection kept to each, and the process's CPU time is
read around each block; pairs are compared, and the median of their ratios is what counts. The gate: 1.05.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent), str(HERE.parent)]

from proxy import CLIENT_CORE, PROXY_CORE, TOKEN, certificates, running  # noqa: E402
from proxy_load import Client, Load, Task  # noqa: E402

ONE, MANY = 1, 20
GATE = 1.05
# title, host, path, requests in a block: short ones, so that both of a pair have the same neighbours
CASES = (
    ("a request with a credential", "api.test", "/json", 60),
    ("a request without a credential", "h1.test", "/json", 60),
    ("50 KB of JSON in gzip for answer", "api.test", "/long", 10),
)


def cpu(pid: int) -> int:
    """Nanoseconds of CPU that a process has had, all its threads (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns((~pid << 3) | 2)


async def measure(
    load: Load, ports: list[int], pid: int, host: str, path: str, pairs: int, block: int
) -> list[list[float]]:
    """Microseconds of CPU a request of each block, one list for each port."""
    clients: list[Client] = []
    for port in ports:
        load.task.proxy = port
        clients.append(await load.connect(host))
    data = load.get(host, path)
    found: list[list[float]] = [[] for _ in ports]
    for number in range(-2, pairs):  # the first two are not counted
        for index in (0, 1) if number % 2 else (1, 0):
            begin = cpu(pid)
            for _ in range(block):
                await clients[index].ask(data)
            if number >= 0:
                found[index].append((cpu(pid) - begin) / block / 1000)
    for client in clients:
        client.transport.abort()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=250)
    options = parser.parse_args(arguments)
    met = True
    with tempfile.TemporaryDirectory(prefix="moat-bench-") as temporary:
        directory = Path(temporary).resolve()
        chain, ca = certificates(directory)
        home = directory / "moat"
        with (
            running(CLIENT_CORE, "upstream", str(chain)) as ((upstream,), _),
            running(PROXY_CORE, "moat", str(home), str(ca), str(upstream), TOKEN, str(ONE), str(MANY)) as (
                ports,
                process,
            ),
        ):
            os.sched_setaffinity(0, {int(CLIENT_CORE)})
            load = Load(Task("pairs", upstream, str(home / "proxy" / "ca" / "ca.crt"), token=TOKEN))
            for title, host, path, block in CASES:
                one, many = uvloop.run(measure(load, ports, process.pid, host, path, options.pairs, block))
                ratio = statistics.median(b / a for a, b in zip(one, many, strict=True))
                met = met and ratio <= GATE
                costs = f"{ONE} grant {statistics.median(one):6.1f} us   {MANY} grants "
                costs += f"{statistics.median(many):6.1f} us   ratio {ratio:.3f}"
                sys.stdout.write(f"{title:<34} {costs}   gate {GATE}\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
