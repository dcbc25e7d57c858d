"""Sandboxes of the kernel's own, made and ended one by one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from dataclasses import dataclass

import pytest

from engine.runtimes import Bind, ContainerSpec, open_runtime

PATIENCE = 30.0  # seconds


@dataclass
class Result:
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode()


class Lab:
    def __init__(self, runtime, workspace):
        self.runtime = runtime
        self.workspace = workspace

    async def network(self):
        return await self.runtime.create_network(f"run_{secrets.token_hex(6)}", "test", True)

    async def create(self, *command, network=None, **more):
        network = network or await self.network()
        terms = await self.runtime.terms(network, None, os.getuid(), os.getgid())
        return await self.runtime.create(
            ContainerSpec(
                run_id=network.id,
                home_label="test",
                name=network.name,
                image="",
                network=network,
                command=command,
                user=terms.user,
                sandbox=terms.sandbox,
                binds=(Bind(str(self.workspace), "/workspace"), *more.pop("binds", ())),
                **more,
            )
        )

    async def run(self, *command, **more) -> Result:
        container = await self.create(*command, **more)
        async with asyncio.timeout(PATIENCE):
            streams = await container.attach()
            await container.start()
            said = {"stdout": b"", "stderr": b""}
            async for stream, data in streams:
                said[stream] += data
            return Result(await container.wait(), said["stdout"], said["stderr"])

    async def sh(self, script, **more) -> Result:
        return await self.run("sh", "-c", script, **more)


@pytest.fixture
async def lab(tmp_path):
    (tmp_path / "workspace").mkdir()
    async with contextlib.AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(open_runtime("bubblewrap", os.environ))
        yield Lab(runtime, tmp_path / "workspace")
