from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.anchor_log import head_of

from engine.anchors.head import Head
from engine.home import Home


@pytest.fixture
def grown() -> Callable[[int], Head]:
    """The log's head when it had so many leaves."""
    return head_of


@pytest.fixture
def forked() -> Callable[[int], Head]:
    """The head of another history under the same name."""
    return lambda size: head_of(size, "other")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "moat")
