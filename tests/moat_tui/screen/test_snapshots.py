"""Every screen and state looks as it was last reviewed, at 80x24 and at 120x40.

The pictures are text in `snapshots/`. `make snapshots` writes them anew; the diff is what to review.
"""

from __future__ import annotations

import os
import time
from difflib import unified_diff
from pathlib import Path

import pytest
from support.grant_states import GRANT_STATES
from support.screen_home import NOW
from support.screen_states import STATES as OTHER_STATES
from support.screen_states import take
from support.snapshots import settled
from support.waiting import screen_text, wait_for
from textual.notifications import Notification

from engine import Home
from moat_tui.screen.app import MoatApp

SNAPSHOTS = Path(__file__).with_name("snapshots")
WRITE = bool(os.environ.get("MOAT_WRITE_SNAPSHOTS"))
STATES = OTHER_STATES | GRANT_STATES
SIZES = ((80, 24), (120, 40))


@pytest.fixture(autouse=True)
def _notices_stay(monkeypatch):
    """A notice that goes away by itself would be in a picture or not, as the machine is slow or fast."""
    monkeypatch.setattr(Notification, "time_left", 3600.0)
    monkeypatch.setattr(Notification, "has_expired", False)


@pytest.fixture(autouse=True)
def _somewhere_fixed(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("HOME", "/home/dana")
    monkeypatch.chdir("/")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", STATES)
async def test_it_looks_as_reviewed(name, size, tmp_path, quick_keys):
    state = STATES[name]
    file = SNAPSHOTS / f"{name}-{size[0]}x{size[1]}.txt"
    wanted = "" if WRITE or not file.exists() else file.read_text(encoding="utf-8")
    app = MoatApp(
        state.face(Home(tmp_path / "home")),
        home_label="/home/dana/.moat",
        run_id=state.run_id,
        clock=lambda: NOW,
        read_only=state.read_only,
    )
    app.animation_level = "none"
    async with app.run_test(size=size, notifications=True) as pilot:
        await wait_for(pilot, lambda: all(word in screen_text(pilot) for word in state.begin))
        await take(pilot, state.steps)
        found = await settled(pilot, wanted)
    if WRITE:
        SNAPSHOTS.mkdir(exist_ok=True)
        file.write_text(found, encoding="utf-8")
        return
    assert file.exists(), "there is no snapshot of this state yet: make snapshots, and look at it"
    changed = "\n".join(unified_diff(wanted.splitlines(), found.splitlines(), "reviewed", "now", n=1))
    assert not changed, f"review what changed; when it is meant: make snapshots\n{changed}"


def test_no_snapshot_is_left_over():
    wanted = {f"{name}-{width}x{height}" for name in STATES for width, height in SIZES}
    kept = {file.stem for file in SNAPSHOTS.glob("*.txt")}
    if WRITE:
        for name in kept - wanted:
            (SNAPSHOTS / f"{name}.txt").unlink()
    else:
        assert kept == wanted
