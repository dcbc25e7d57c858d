"""A home whose key lies in a file."""

from __future__ import annotations

import pytest

from engine.home import Home


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")
    return Home(tmp_path / "moat")
