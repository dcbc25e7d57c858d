from __future__ import annotations

import os

import pytest
from support import apple_container

from engine.doctor.apple import check_apple
from engine.doctor.results import CheckState
from engine.runtimes import HostFacts


@pytest.fixture
def mac(monkeypatch):
    def with_(lacks: str) -> None:
        facts = HostFacts("darwin", "arm64", 26, lacks)
        monkeypatch.setattr(HostFacts, "read", classmethod(lambda cls: facts))

    return with_


async def test_elsewhere_it_is_no_matter() -> None:
    result = await check_apple()
    assert (result.state, result.needed) == (CheckState.OK, False)
    assert "macOS 26" in result.message


@pytest.mark.parametrize(
    ("lacks", "message", "remedy"),
    [
        ("absent", "not installed; Docker is used", "releases"),
        ("stopped", "do not run", "container system start"),
    ],
)
async def test_what_is_lacking(mac, lacks, message, remedy) -> None:
    mac(lacks)
    result = await check_apple()
    assert result.state is CheckState.WARN
    assert message in result.message
    assert remedy in result.remedy


@pytest.mark.bubblewrap
async def test_ready(mac, tmp_path, monkeypatch) -> None:
    mac("")
    apple_container.install(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    result = await check_apple()
    assert result.state is CheckState.OK
    assert result.message.startswith("container CLI version 1.0")
