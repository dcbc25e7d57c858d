"""The driver on a scripted `container`, which stands in for a Mac's."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest
from support import apple_container
from support.apple_driving import RUN, USER, open_apple

from engine.runtimes import ContainerSpec
from engine.runtimes.apple import runtime as runtime_module

IMAGE = "debian:bookworm-slim"


@pytest.fixture
def state(tmp_path, monkeypatch):
    """The state of a `container` that is first on the PATH; this machine forwards no packets."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(runtime_module, "forwards_packets", lambda: False)
    made = apple_container.install(tmp_path / "apple")
    monkeypatch.setenv("PATH", f"{tmp_path / 'apple' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return made


@pytest.fixture
def container(state, tmp_path):
    """`async with container("sh", "-c", …, user=…) as made:`: a started container and what it prints."""
    (tmp_path / "ws").mkdir(exist_ok=True)

    @contextlib.asynccontextmanager
    async def made(*command, internal=True, **fields):
        async with asyncio.timeout(60), open_apple() as apple:
            network = await apple.create_network(RUN, "home", internal)
            await apple.ensure_image(IMAGE, print)
            spec = ContainerSpec(
                run_id=RUN, home_label="home", name=f"moat-{RUN}", image=IMAGE, network=network,
                **({"command": command, "workdir": "/workspace", "user": USER} | fields),
            )  # fmt: skip
            one = await apple.create(spec)
            one.apple = apple
            streams = await one.attach()
            try:
                await one.start()
                yield one, streams
            finally:
                await apple.remove_run(RUN)

    return made
