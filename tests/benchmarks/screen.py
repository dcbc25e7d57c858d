"""What the screen costs with many requests. Run: python tests/benchmarks/screen.py

A home with generated runs in the temporary directory, and the real screen over it, driven by key events.
A key press is timed from its event until the list's cursor has moved. The processor's share is of one
core and of this process alone: what writes the requests is another one. Exit code 1 when a gate is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.screen_home import FakeFace, ago, write_run  # noqa: E402
from support.waiting import screen_text, wait_for  # noqa: E402
from textual import events  # noqa: E402
from textual.pilot import Pilot  # noqa: E402

from engine import Home, RunInfo, RunState  # noqa: E402
from moat_tui.screen.app import MoatApp  # noqa: E402
from moat_tui.screen.panes.requests import RequestsPane  # noqa: E402

SMALL, LONG, LIVE = "run_small", "run_long", "run_live"
LINE = (
    '{"id":"req_%07d","ts":"2026-01-12T10:%02d:%02dZ","method":"GET","url":"https://api.github.com/repos/acme/'
    'shop/pulls/%d","host":"api.github.com","status_code":%d,"duration_ms":%d,"ttfb_ms":12,"bytes_in":5120,'
    '"grant":"github","rule":"grant github","request_headers":{"Accept":"*/*","Authorization":"[REDACTED]"},'
    '"response_headers":{"Content-Type":"application/json"}}\n'
)
PER_SECOND = 1_000


class Result(NamedTuple):
    name: str
    value: float
    unit: str
    gate: float


def line(number: int) -> str:
    status = 404 if number % 100 == 7 else 200
    return LINE % (number, number // 60 % 60, number % 60, number, status, 50 + number * 37 % 900)


def write_lines(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="ascii") as file:
        file.writelines(map(line, range(count)))


def write_live(path: Path, seconds: float) -> None:
    """The other process: PER_SECOND lines a second, in tenths."""
    begun, number = time.monotonic(), 0
    with path.open("a", encoding="ascii", buffering=1 << 20) as file:
        while time.monotonic() - begun < seconds:
            while number < (time.monotonic() - begun) * PER_SECOND:
                file.write(line(number))
                number += 1
            file.flush()
            time.sleep(0.02)


def resident() -> float:
    """MiB of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def pane_of(pilot: Pilot[int]) -> RequestsPane:
    return pilot.app.screen.query_one(RequestsPane)


def _event(pilot: Pilot[int], key: str) -> events.Key:
    event = events.Key(key, None)
    event.set_sender(pilot.app)
    return event


async def key_press(pilot: Pilot[int], key: str) -> float:
    """Milliseconds until the cursor of the requests has moved."""
    view = pane_of(pilot).view
    before = view._cursor
    begun = time.perf_counter()
    pilot.app.post_message(_event(pilot, key))
    while view._cursor == before:
        await asyncio.sleep(0)
        if time.perf_counter() - begun > 5:
            raise SystemExit(f"the key {key} did nothing")
    return (time.perf_counter() - begun) * 1000


async def worst_press(pilot: Pilot[int], going_on: object, least: int) -> float:
    """The slowest of key presses up and down, 20 a second, while `going_on()` holds."""
    worst, number = 0.0, 0
    while number < least or going_on():  # type: ignore[operator]
        worst = max(worst, await key_press(pilot, "up" if number % 2 == 0 else "pageup"))
        number += 1
        await asyncio.sleep(0.05)
    return worst


async def open_long(pilot: Pilot[int], count: int) -> list[Result]:
    pane = pane_of(pilot)
    begun = time.perf_counter()
    pilot.app.post_message(_event(pilot, "down"))
    await wait_for(pilot, lambda: f"/pulls/{count - 1} " in screen_text(pilot))
    first = time.perf_counter() - begun
    await wait_for(pilot, lambda: pane.listing.done, timeout=60)
    whole = time.perf_counter() - begun
    return [
        Result("opening: first page", first, "s", 1.0),
        Result("opening: every line reachable", whole, "s", 30.0),
    ]


async def filter_long(pilot: Pilot[int], count: int) -> list[Result]:
    pane = pane_of(pilot)
    await pilot.press("2", "home")
    await wait_for(pilot, lambda: pane.current is not None and pane.current.id == "req_0000000")
    await pilot.press("end")
    begun = time.perf_counter()
    pane.query_model.filter("status:4xx")
    pane.query_model.hiding = False  # so that there are lines to move over from the start
    pane.ask()
    worst = await worst_press(pilot, lambda: not pane.listing.done, 5)
    took = time.perf_counter() - begun
    assert pane.lines.found is not None
    if len(pane.lines.found) != count // 100:
        raise SystemExit(f"the filter found {len(pane.lines.found)} of {count // 100}")
    pane.clear()
    return [
        Result("filtering: worst key press", worst, "ms", 50.0),
        Result("filtering: all lines looked at", took, "s", 60.0),
    ]


async def open_all(pilot: Pilot[int]) -> Result:
    pane = pane_of(pilot)
    begun = time.perf_counter()
    pilot.app.post_message(_event(pilot, "A"))
    await wait_for(pilot, lambda: "all runs · " in screen_text(pilot) and len(pane.lines) > 100)
    took = time.perf_counter() - begun
    await pilot.press("A")
    return Result("all runs: first page", took, "s", 1.0)


async def watch_live(pilot: Pilot[int], path: Path, seconds: float) -> list[Result]:
    pane = pane_of(pilot)
    await pilot.press("1", "end")
    command = [sys.executable, __file__, "--write", str(path), "--seconds", str(seconds + 2)]
    writer = await asyncio.create_subprocess_exec(*command)
    try:
        await wait_for(pilot, lambda: len(pane.lines) > PER_SECOND, timeout=30)
        await pilot.press("2")
        cpu, begun = time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds / 2)
        share = (time.process_time() - cpu) / (time.perf_counter() - begun)
        until = time.perf_counter() + seconds / 2
        worst = await worst_press(pilot, lambda: time.perf_counter() < until, 20)
    finally:
        await asyncio.wait_for(writer.wait(), 60)
    return [
        Result(f"{PER_SECOND:,} requests/s: share of a core", share * 100, "%", 60.0),
        Result(f"{PER_SECOND:,} requests/s: worst key press", worst, "ms", 30.0),
    ]


async def idle(seconds: float) -> Result:
    await asyncio.sleep(2)
    cpu, begun = time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    share = (time.process_time() - cpu) / (time.perf_counter() - begun)
    return Result("idle: share of a core", share * 100, "%", 5.0)


async def measure(home: Home, count: int, seconds: float) -> list[Result]:
    write_run(home, RunInfo(SMALL, "small", ago(minutes=1), RunState.EXITED, exit_code=0))
    write_run(home, RunInfo(LONG, "long", ago(minutes=2), RunState.EXITED, exit_code=0))
    write_run(home, RunInfo(LIVE, "live", ago(minutes=3), RunState.RUNNING))
    for run, lines in ((SMALL, 10), (LONG, count), (LIVE, 0)):
        write_lines(home.run(run) / "network.jsonl", lines)
    results: list[Result] = []
    app = MoatApp(FakeFace(home), home_label="~/.moat")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for(pilot, lambda: len(pane_of(pilot).lines) == 10)
        results.append(await idle(seconds / 2))
        before = resident()
        results += await open_long(pilot, count)
        results += await filter_long(pilot, count)
        results.append(await open_all(pilot))
        results += await watch_live(pilot, home.run(LIVE) / "network.jsonl", seconds)
        results.append(Result("memory after all that, more than before", resident() - before, "MiB", 64.0))
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the long run")
    parser.add_argument("--seconds", type=float, default=10.0, help="that requests arrive")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.write is not None:
        write_live(options.write, options.seconds)
        return 0
    with tempfile.TemporaryDirectory() as directory:
        home = Home(Path(directory).resolve() / "moat")
        results = asyncio.run(measure(home, options.requests, options.seconds))
    missed = False
    print(f"The screen, {options.requests:,} requests in the long run")  # noqa: T201
    for result in results:
        ok = result.value <= result.gate
        missed |= not ok
        verdict = "ok" if ok else "MISSED"
        text = f"{result.name:<42} {result.value:>8.2f} {result.unit:<4} gate {result.gate:>5g}  {verdict}"
        print(text)  # noqa: T201
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
