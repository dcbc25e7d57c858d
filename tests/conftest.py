"""What the whole suite shares: tests marked `docker`, `gvisor` or `bubblewrap` run only where those are.

Elsewhere they are skipped with the reason. In CI (`CI` is set) they fail instead: there a missing engine
is a broken set-up, and a suite that skips itself green proves nothing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from functools import lru_cache

import pytest

from engine.errors import MoatError
from engine.runtimes import DockerRuntime, EngineInfo, open_runtime

BASE_IMAGE = "moat-base:bookworm"  # the base image with the tools; `moat doctor --fix` makes it

SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin"

_engine: EngineInfo | str | None = None


@pytest.fixture(scope="session")
def docker_engine() -> EngineInfo:
    """The engine behind the tests; skips, or fails in CI, when there is none."""
    return _require_engine()


def pytest_configure() -> None:
    """As at a terminal: who starts the suite in the background (nohup, a CI's shell) may have it ignore
    these, and all that a test starts would ignore them too.
    """
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("sshd") is not None and not shutil.which("sshd", path=SBIN):
        _absent("OpenSSH's server (sshd)")
    if item.get_closest_marker("bubblewrap") is not None and (lack := _no_bubblewrap()):
        _absent(lack)
    needs_gvisor = item.get_closest_marker("gvisor") is not None
    if needs_gvisor or item.get_closest_marker("docker") is not None:
        engine = _require_engine()
        if needs_gvisor and "runsc" not in engine.runtimes:
            _absent("gVisor: the Docker engine has no runtime runsc")


def _require_engine() -> EngineInfo:
    global _engine
    if _engine is None:
        _engine = asyncio.run(_look())
    if isinstance(_engine, str):
        _absent(_engine)
    return _engine


@lru_cache(maxsize=1)
def _no_bubblewrap() -> str:
    """Why no sandbox can be made here; "" when one can."""

    async def make() -> None:
        async with open_runtime("bubblewrap", os.environ) as runtime:
            await runtime.create_network("run_probe", "test", True)

    try:
        asyncio.run(make())
    except MoatError as error:
        return str(error)
    return ""


async def _look() -> EngineInfo | str:
    """The engine, or why the tests cannot use it."""
    try:
        async with DockerRuntime.connect(os.environ) as docker:
            await docker.ensure_image(BASE_IMAGE, lambda line: None)
            return await docker.info()
    except MoatError as error:
        return str(error)


def _absent(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"needed in CI: {reason}", pytrace=False)
    pytest.skip(reason)
