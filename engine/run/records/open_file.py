"""`open.jsonl`: the requests of a run that are not over, one a line, shaped as in `network.jsonl`.

Replaced whole by the supervisor whenever it changes, so that `network.jsonl` holds finished requests
only, each once. When the supervisor dies the file stays: its requests were broken off with it, and the
reaper gives them their finished records.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.errors import HomeError
from engine.events import RequestRecord
from engine.home import Home
from engine.run.metadata import supervisor_alive
from engine.run.reading.tail import NETWORK, RequestTail
from engine.run.records.jsonl import LineFile

OPEN = "open.jsonl"
BROKEN_OFF = "broken off: the run's supervisor died"

_LOOKED_BACK = 10_000  # requests: more than can finish between the last look at what is open and the end


class OpenView(msgspec.Struct, frozen=True):
    """live: whether the supervisor lives. Otherwise every request says in `error` that it was broken off."""

    live: bool
    requests: tuple[RequestRecord, ...] = ()


class OpenFile:
    """The supervisor's side. A write that fails is left: the next one says it all again."""

    def __init__(self, home: Home, run_id: str) -> None:
        self._home = home
        self._path = home.run(run_id) / OPEN
        self._encoder = msgspec.json.Encoder()
        self._empty = True
        self._closed = False

    def write(self, requests: Sequence[RequestRecord]) -> None:
        """Not durable: it is worth nothing after a power cut."""
        if self._closed:
            return
        try:
            self._home.write(self._path, self._encoder.encode_lines(requests), durable=False)
            self._empty = not requests
        except HomeError:
            self._empty = False  # what it said last may still be there

    def close(self) -> None:
        """Everything has been finished; what is said later is too late."""
        self._closed = True
        if not self._empty:
            remove(self._home, self._path.parent.name)


def remove(home: Home, run_id: str) -> None:
    home.remove(home.run(run_id) / OPEN)


def read_open(home: Home, run_id: str) -> OpenView:
    """What is open in a run, or was when its supervisor died. Blocking."""
    requests = _read(home, run_id)
    if not requests or supervisor_alive(home, run_id):
        return OpenView(True, requests)
    return OpenView(False, tuple(msgspec.structs.replace(r, error=BROKEN_OFF) for r in requests))


def finish_open(home: Home, run_id: str) -> list[RequestRecord]:
    """Give the requests of a dead supervisor their records; returns them. Its lock must be held."""
    requests = _read(home, run_id)
    if requests:
        known = {record.id for record in RequestTail(home, run_id).last(_LOOKED_BACK)}
        requests = tuple(
            msgspec.structs.replace(record, error=BROKEN_OFF) for record in requests if record.id not in known
        )
        network = LineFile(home, home.run(run_id) / NETWORK)
        network.append(*requests)
        network.close()
    remove(home, run_id)
    return list(requests)


def _read(home: Home, run_id: str) -> tuple[RequestRecord, ...]:
    try:
        data = home.read(home.run(run_id) / OPEN)
        return tuple(msgspec.json.Decoder(RequestRecord).decode_lines(data))
    except (FileNotFoundError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ()
