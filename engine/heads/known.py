"""What this process has already read of the installation's log: asked again, it reads only what was added.

Verifying every run asks once for each, and a screen that watches live runs asks all the time. Rows that
were read are not looked at again for WHOLE_EVERY seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.heads.history import History

WHOLE_EVERY = 300.0  # seconds; then the log is read from its first event again

type Mark = list[tuple[int, int, int]]  # engine.audit.source.fingerprint


class _Known(msgspec.Struct, frozen=True):
    """mark: of the file before it was read. since: when its first event was read, on the monotonic clock."""

    mark: Mark
    since: float
    history: History


_lock = threading.Lock()
_known: dict[Path, _Known] = {}


def known_history(path: Path, key0: bytes, mark: Mark, read: Callable[[History | None], History]) -> History:
    """What is known if the file is as it was; else what `read` makes of it, given where to go on."""
    now = time.monotonic()
    with _lock:
        known = _known.get(path)
    if known is not None and (known.history.key0 != key0 or now - known.since > WHOLE_EVERY):
        known = None
    if known is not None and known.mark == mark:
        return known.history
    history = read(known.history if known is not None else None)
    if not history.fault:  # else what was known is remembered: an older log that was put back is not it
        with _lock:
            _known[path] = _Known(mark, known.since if known is not None else now, history)
    return history
