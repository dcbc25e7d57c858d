"""A place to make containers and networks in, which removes every one of them afterwards."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from engine.runtimes import ContainerSpec, DockerRuntime, Network

IMAGE = "moat-base:bookworm"


@dataclass
class Result:
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode()


@dataclass
class Lab:
    docker: DockerRuntime
    label: str = field(default_factory=lambda: f"test-{secrets.token_hex(6)}")
    runs: list[str] = field(default_factory=list)

    def new_run(self) -> str:
        self.runs.append(f"run_test{secrets.token_hex(6)}")
        return self.runs[-1]

    async def network(self, internal: bool = False) -> Network:
        return await self.docker.create_network(self.new_run(), self.label, internal)

    def spec(self, network: Network, *command: str, **more) -> ContainerSpec:
        run_id = network.name.removeprefix("moat-")
        wishes = {"image": IMAGE, "sandbox": "standard", "user": "0:0", "workdir": "/", **more}
        return ContainerSpec(
            run_id=run_id,
            home_label=self.label,
            name=f"moat-{run_id}",
            network=network,
            command=command,
            **wishes,
        )

    async def run(self, *command: str, network: Network | None = None, **more) -> Result:
        """One container from creation to its end."""
        spec = self.spec(network or await self.network(), *command, **more)
        container = await self.docker.create(spec)
        async with await container.attach() as attachment:
            await container.start()
            said = {"stdout": bytearray(), "stderr": bytearray()}
            async for stream, data in attachment:
                said[stream] += data
        return Result(await container.wait(), bytes(said["stdout"]), bytes(said["stderr"]))


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with DockerRuntime.connect(os.environ) as docker:
        lab = Lab(docker)
        try:
            yield lab
        finally:
            for run_id in lab.runs:
                await docker.remove_run(run_id)
            assert await docker.leftovers(lab.label) == []
