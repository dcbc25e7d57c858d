"""A run's network, frozen: whoever saw a decoy leave says so here, and from then on nothing is let go.

There is no way back: what was about to leave says that the agent, or what it was made to do, cannot be
trusted with the network, and a person decides what becomes of the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.proxy.decision import Decision
from engine.proxy.destination import Destination
from engine.proxy.exchange import Exchange

RULE = "decoy"
CUT_OFF = "the request was cut off: it held a decoy, or another one did"


def _nobody() -> None:
    pass


class Freeze:
    """One per run. decoy: the name of the one that was seen, "" while nothing is frozen; exchange: that
    which held it. told: set when its alarm is on the disk, or could not be put there. begun: called in
    the middle of whatever saw the decoy; cuts what is open, and sees to the alarm.
    """

    def __init__(self) -> None:
        self.decoy = ""
        self.exchange: Exchange | None = None
        self.told = asyncio.Event()
        self.begun: Callable[[], None] = _nobody

    def __bool__(self) -> bool:
        return bool(self.decoy)

    def begin(self, decoy: str, exchange: Exchange) -> None:
        """The first one counts."""
        if not self.decoy:
            self.decoy, self.exchange = decoy, exchange
            self.begun()

    def decision(self, destination: Destination | None = None) -> Decision:
        """The refusal of everything from now on."""
        return Decision(
            False,
            destination,
            status=403,
            rule=RULE,
            message=f"A decoy ({self.decoy}) was about to leave, so this run's network is frozen.",
            remedy="It stays frozen until the run ends; ask the person who runs this agent.",
        )
