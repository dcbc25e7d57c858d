"""What a frozen network means outside the proxy: the run's other ways are cut, and a person is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.errors import MoatError
from engine.events import timestamp
from engine.run.beside.sidecar import Sidecars
from engine.run.launch import Launched
from engine.run.spec import RunSpec
from engine.runtimes import Container


class Freezing:
    """`obey` as a task for the agent's whole life; after the agent's end, `tell`."""

    def __init__(
        self,
        launched: Launched,
        spec: RunSpec,
        become: Callable[[str], None],
        notice: Callable[[str], None],
    ) -> None:
        """become: told once, for the run's metadata, why its network is frozen."""
        self._launched = launched
        self._spec = spec
        self._become = become
        self._notice = notice
        self._told = False

    async def obey(self) -> None:
        """Wait for the proxy to freeze the network, then do the rest. Where the proxy is not the only way
        out, the container is taken off its network, and reaches the proxy no more either.
        """
        await self._launched.proxy.frozen.wait()
        self.tell()
        self._launched.publishing.stop()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._launched.ssh.aclose())
            if not self._spec.isolated:
                # The agent may have put what must not leave into one of its sidecars.
                group.create_task(self._disconnect(self._launched.sidecars))
                group.create_task(self._disconnect(self._launched.container))

    def tell(self) -> None:
        """Also of a freeze that came with the agent's last breath; once."""
        decoy, name = self._launched.proxy.decoy, self._spec.name
        if not decoy or self._told:
            return
        self._told = True
        self._become(f"the decoy {decoy} was about to leave, at {timestamp()}")
        self._notice(
            f"ALARM: the decoy {decoy} was about to leave; the network of run {name} is frozen until it "
            f"ends. What it sent: moat trace {name}; end it: moat stop {name}"
        )

    async def _disconnect(self, reaching: Container | Sidecars) -> None:
        try:
            await reaching.disconnect()
        except MoatError as error:
            name = self._spec.name
            self._notice(
                f"the direct way out of run {name} could NOT be cut: {error.what}; "
                f"end it: moat stop --kill {name}"
            )
