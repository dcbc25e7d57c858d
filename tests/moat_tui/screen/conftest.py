"""A home in a temporary directory, and the screen over it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.screen_home import NOW, FakeFace
from textual.pilot import Pilot

from engine import Home
from moat_tui.screen.app import MoatApp


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def face(home: Home) -> FakeFace:
    return FakeFace(home)


@pytest.fixture
def quick_keys(monkeypatch):
    """A simulated key waits for an idle processor, 100 ms or more; for tests that wait for what it does."""

    async def briefly(*_: float) -> None:
        await asyncio.sleep(0.02)

    monkeypatch.setattr("textual.app.wait_for_idle", briefly)
    monkeypatch.setattr("textual.pilot.wait_for_idle", briefly)


@pytest.fixture
def screen(face: FakeFace):
    """`async with screen(size=…) as pilot`: the app over `face`, its clock stopped at NOW."""

    @contextlib.asynccontextmanager
    async def opened(size: tuple[int, int] = (120, 40), **given: Any) -> AsyncIterator[Pilot[int]]:
        app = MoatApp(face, home_label="~/.moat", clock=lambda: NOW, **given)
        async with app.run_test(size=size, notifications=True) as pilot:
            yield pilot

    return opened
