"""The next `moat` of any kind closes what a dead one left open."""

from __future__ import annotations

import engine
from moat_tui.cli.errors import say


def reap(home: engine.Home) -> None:
    """Close runs whose supervisor died; costs one look at the runs when all have ended.

    A failure is said and not raised: a dead Docker must not keep anyone from reading their logs.
    """
    if all(run.state.ended for run in engine.list_runs(home)):
        return
    import asyncio

    try:
        closed = asyncio.run(engine.reap(home))
    except engine.MoatError as error:
        say(f"what an interrupted run left could not be cleaned up: {error.lines()[0]}")
        return
    for run in closed:
        say(f"{run.name} ({run.id}) had been interrupted; what it left is cleaned up")
