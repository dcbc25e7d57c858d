"""One limit for all of a request: blocking sockets limit each wait, and any byte begins a new one."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from types import TracebackType
from typing import Self


class Deadline:
    """Use as `with Deadline(seconds) as deadline`. What it dials is shut when the time is up, in the middle
    of whatever is being sent or read: the peer gets and gives nothing any more.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        # Of its own, because closing or wrapping the caller's would pull it away from under the timer.
        self._held: socket.socket | None = None

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            if self._held is not None:
                self._held.close()
                self._held = None

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end

    def dial(self, address: tuple[str, int]) -> socket.socket:
        """A TCP connection to one of the host's addresses. Raises OSError, TimeoutError when it is over."""
        failure: OSError = TimeoutError()
        for family, kind, protocol, _, place in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(left)
                made.connect(place)
                self._hold(made)
                return made
            except OSError as error:
                made.close()
                failure = error
        raise failure

    def _hold(self, made: socket.socket) -> None:
        with self._lock:
            self._held = socket.socket(fileno=os.dup(made.fileno()))
        if self.over:
            raise TimeoutError

    def _shut(self) -> None:
        with self._lock:
            if self._held is not None:
                with contextlib.suppress(OSError):  # the peer was quicker
                    self._held.shutdown(socket.SHUT_RDWR)
