"""Which requests are on their way: said to the recorder, off the requests' own path.

A request costs one entry in a dict. What is over quickly is never said; a timer, which runs only while
something is on its way, looks for what is older and redacts it, a bounded number of requests at a time.
"""

from __future__ import annotations

import asyncio
from itertools import islice

from engine.events import RequestRecord
from engine.proxy.exchange import Exchange
from engine.proxy.recorder import Recorder

LOOK_EVERY = 0.5  # seconds; also how long a request must be open before it is said
TELL_EVERY = 1.0  # seconds between two updates when only bytes have moved
MAX_OPEN = 1000  # said at a time, the oldest; one agent can have more streams open than anybody reads
_REDACTED_AT_ONCE = 50  # requests described for the first time in one look: some 100 microseconds each


class OpenRequests:
    """One per run. `add` and `remove` are called in the proxy's loop."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._exchanges: dict[str, Exchange] = {}  # by id, the oldest first
        self._said: dict[str, RequestRecord] = {}
        self._said_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, exchange: Exchange) -> None:
        self._exchanges[exchange.id] = exchange
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    def remove(self, exchange: Exchange) -> None:
        self._exchanges.pop(exchange.id, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LOOK_EVERY, self._look) if self._exchanges else None
        current: dict[str, RequestRecord] = {}
        described = 0
        for exchange in islice(self._exchanges.values(), MAX_OPEN):
            if exchange.age < LOOK_EVERY:
                break  # those after it are younger
            if not exchange.described:
                described += 1
                if described > _REDACTED_AT_ONCE:
                    continue
            current[exchange.id] = exchange.so_far(self._said.get(exchange.id))
        if current == self._said:
            return
        now = loop.time()
        if self._exchanges and _same_but_bytes(current, self._said) and now < self._said_at + TELL_EVERY:
            return
        self._said, self._said_at = current, now
        self._recorder.open(list(current.values()))


def _same_but_bytes(now: dict[str, RequestRecord], before: dict[str, RequestRecord]) -> bool:
    return now.keys() == before.keys() and all(
        record.status_code == before[key].status_code for key, record in now.items()
    )
