"""Containers and networks of this installation whose run is over: a killed supervisor leaves them behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence

from engine.doctor.results import CheckResult, CheckState
from engine.errors import MoatError
from engine.home import Home

# Gives one name for each thing that is left, e.g. "container moat-run_…".
FindLeftovers = Callable[[Home], Awaitable[Sequence[str]]]


async def find_leftovers(home: Home) -> list[str]:
    """Whatever carries this installation's label, without live runs' and what was kept on purpose."""
    from engine.run.metadata import supervisor_alive
    from engine.run.reading.library import list_runs
    from engine.runtimes import HostFacts, home_label, open_runtime

    host = await asyncio.to_thread(HostFacts.read)
    async with open_runtime("apple" if host.apple_ready else "docker", os.environ) as engine:
        found = await engine.leftovers(home_label(home.root))
    # Looked at after the engine, because a run takes its lock before it asks the engine for anything.
    kept = {run.id for run in list_runs(home) if run.keep}
    return [
        f"{left.kind} {left.name}"
        for left in found
        if left.run_id not in kept and not supervisor_alive(home, left.run_id)
    ]


async def check_leftovers(home: Home, find: FindLeftovers) -> CheckResult:
    try:
        names = await find(home)
    except MoatError:
        return _result(CheckState.WARN, "could not be looked for: the Docker engine does not answer")
    if not names:
        return _result(CheckState.OK, "none")
    few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return _result(CheckState.WARN, few, "moat clean removes them.")


def _result(state: CheckState, message: str, remedy: str = "") -> CheckResult:
    return CheckResult("leftovers", "Leftovers of dead runs", state, message, remedy, needed=False)
