"""Draw the pictures in `screenshots/` from a sample home: the same bytes every time.

python tests/support/make_screenshots.py [FOLDER]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ["TZ"] = "UTC"
os.environ["HOME"] = "/home/dana"
time.tzset()

from support.screen_home import NOW, FakeFace  # noqa: E402
from support.screen_sample import REVIEW, sample_face  # noqa: E402
from support.waiting import screen_text, wait_for  # noqa: E402
from textual.pilot import Pilot  # noqa: E402

from engine import Home  # noqa: E402
from moat_tui.screen.app import MoatApp  # noqa: E402

type Steps = Callable[[Pilot[int]], Awaitable[None]]


async def _main(pilot: Pilot[int]) -> None:
    await pilot.press("2")


async def _grants(pilot: Pilot[int]) -> None:
    await pilot.press("3")


async def _audit(pilot: Pilot[int]) -> None:
    await pilot.press("4")


async def _output(pilot: Pilot[int]) -> None:
    await pilot.press("o")
    await wait_for(pilot, lambda: "17 lines" in screen_text(pilot))


async def _search(pilot: Pilot[int]) -> None:
    await _output(pilot)
    await pilot.press("slash", *"test", "enter")


async def _add_grant(pilot: Pilot[int]) -> None:
    await pilot.press("a")
    await wait_for(pilot, lambda: "openai" in screen_text(pilot))


async def _give_value(pilot: Pilot[int]) -> None:
    await _add_grant(pilot)
    await pilot.press("down", "enter")
    await wait_for(pilot, lambda: "Found in" in screen_text(pilot))


async def _start(pilot: Pilot[int]) -> None:
    await pilot.press("s")
    await wait_for(pilot, lambda: "Workspace" in screen_text(pilot))
    workspace = pilot.app.screen.query_one("#workspace")
    workspace.value = "/home/dana/src/shop"  # type: ignore[attr-defined]
    await wait_for(pilot, lambda: "agent.yaml: " in screen_text(pilot))


async def _grant(pilot: Pilot[int]) -> None:
    await pilot.press("3", "down")
    await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "grants-table")
    await pilot.press("enter")
    await wait_for(pilot, lambda: "In use by" in screen_text(pilot))


async def _destroy(pilot: Pilot[int]) -> None:
    await pilot.press("1", "down", "down", "d")
    await wait_for(pilot, lambda: "Destroy triage?" in screen_text(pilot))


async def _first_light(pilot: Pilot[int]) -> None:
    await pilot.press("ctrl+t")


async def _nothing(pilot: Pilot[int]) -> None:
    pass


async def _request(pilot: Pilot[int]) -> None:
    await pilot.press("2", "enter")
    await wait_for(
        pilot, lambda: "Request headers" in screen_text(pilot) and "a shows it" in screen_text(pilot)
    )


async def _audit_log(pilot: Pilot[int]) -> None:
    await pilot.press("4")
    await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "audit-entries")
    await pilot.press("enter")
    await wait_for(pilot, lambda: "Audit of review" in screen_text(pilot) and "   57 " in screen_text(pilot))


async def _audit_chains(pilot: Pilot[int]) -> None:
    await _audit_log(pilot)
    await pilot.press("c", "V")
    await wait_for(
        pilot, lambda: screen_text(pilot).count("no log") == 3 and "TAMPERED" in screen_text(pilot)
    )


async def _audit_broken(pilot: Pilot[int]) -> None:
    await _audit_chains(pilot)
    await pilot.press("down", "down", "enter")
    await wait_for(pilot, lambda: "First broken entry" in screen_text(pilot))
    await wait_for(pilot, lambda: pilot.app.screen.view.pages.mark_place == 23)  # type: ignore[attr-defined]
    await pilot.press("b")
    await wait_for(pilot, lambda: "✗ broken at #24" in screen_text(pilot))


async def _doctor(pilot: Pilot[int]) -> None:
    await pilot.press("D")
    await wait_for(pilot, lambda: "not ready: gVisor" in screen_text(pilot))


async def _filter(pilot: Pilot[int]) -> None:
    await pilot.press("2", "slash")
    await wait_for(pilot, lambda: pilot.app.focused is not None and pilot.app.focused.id == "requests-filter")
    await pilot.press(*"grant", "colon", *"github", "space", *"status", "colon", *"200")
    await wait_for(pilot, lambda: " of 30 " in screen_text(pilot) and "looking" not in screen_text(pilot))


async def _filter_mistake(pilot: Pilot[int]) -> None:
    await _filter(pilot)
    await pilot.press("space", *"ms", "colon", *"slow")
    await wait_for(pilot, lambda: "needs a number" in screen_text(pilot))


async def _sorted(pilot: Pilot[int]) -> None:
    await pilot.press("ctrl+t", "2", "T")
    await wait_for(pilot, lambda: "by took" in screen_text(pilot))


async def _help(pilot: Pilot[int]) -> None:
    await pilot.press("question_mark")
    await wait_for(pilot, lambda: "Output" in screen_text(pilot))


async def _light(pilot: Pilot[int]) -> None:
    await pilot.press("ctrl+t")


PICTURES: dict[str, tuple[tuple[int, int], Steps]] = {
    "main-80x24": ((80, 24), _main),
    "main-120x40": ((120, 40), _main),
    "main-200x60": ((200, 60), _main),
    "main-light-120x40": ((120, 40), _light),
    "grants-80x24": ((80, 24), _grants),
    "audit-80x24": ((80, 24), _audit),
    "output-120x40": ((120, 40), _search),
    "output-80x24": ((80, 24), _output),
    "add-grant-80x24": ((80, 24), _give_value),
    "choose-grant-80x24": ((80, 24), _add_grant),
    "start-run-80x24": ((80, 24), _start),
    "request-120x40": ((120, 40), _request),
    "request-80x24": ((80, 24), _request),
    "filter-120x40": ((120, 40), _filter),
    "filter-80x24": ((80, 24), _filter_mistake),
    "sorted-light-120x40": ((120, 40), _sorted),
    "audit-log-120x40": ((120, 40), _audit_log),
    "audit-log-80x24": ((80, 24), _audit_log),
    "audit-chains-80x24": ((80, 24), _audit_chains),
    "audit-broken-120x40": ((120, 40), _audit_broken),
    "doctor-80x24": ((80, 24), _doctor),
    "help-120x40": ((120, 40), _help),
    "start-run-120x40": ((120, 40), _start),
    "grant-80x24": ((80, 24), _grant),
    "destroy-80x24": ((80, 24), _destroy),
    "first-start-80x24": ((80, 24), _nothing),
    "first-start-light-120x40": ((120, 40), _first_light),
}
EMPTY = "first-start"  # pictures of a home without anything in it begin with this


async def draw(name: str, folder: Path) -> None:
    size, steps = PICTURES[name]
    with tempfile.TemporaryDirectory() as root:
        home = Home(Path(root) / "home")
        empty = name.startswith(EMPTY)
        face = FakeFace(home) if empty else sample_face(home)
        app = MoatApp(face, home_label="/home/dana/.moat", run_id="" if empty else REVIEW, clock=lambda: NOW)
        app.animation_level = "none"
        async with app.run_test(size=size) as pilot:
            if empty:
                await wait_for(pilot, lambda: "Welcome to Moat" in screen_text(pilot))
            else:
                await wait_for(
                    pilot,
                    lambda: all(
                        word in screen_text(pilot) for word in ("5 runs", "4 grants", "529", "try-image")
                    ),
                )
                await wait_for(pilot, lambda: app.screen.query_one("#audit-entries").store)  # type: ignore[attr-defined]
            await steps(pilot)
            await pilot.pause(0.2)
            for cursor in app.screen.query("Input"):
                cursor.cursor_blink = False  # type: ignore[attr-defined]
            await pilot.pause(0.05)
            (folder / f"{name}.svg").write_text(app.export_screenshot(title="Moat"), encoding="utf-8")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or PICTURES:
        asyncio.run(draw(name, folder))


if __name__ == "__main__":
    main()
