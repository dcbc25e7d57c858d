"""The thread that follows one run's output while its screen is open."""

from __future__ import annotations

import threading
from collections.abc import Callable

from textual.message import Message

from moat_tui.screen.engine_face import EngineFace
from moat_tui.screen.reader import LOOK_EVERY, FileFollower, OutputRead, ReadFailed

FIRST = 20_000  # lines shown of an output that is already long


class OutputReader:
    """`run` is the thread's body; `stop` may be called from any thread."""

    def __init__(self, face: EngineFace, run_id: str, deliver: Callable[[Message], object]) -> None:
        self._face = face
        self._run_id = run_id
        self._deliver = deliver
        self._stop = threading.Event()
        self.began_late = False

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        try:
            follower = FileFollower(
                self._face.output_file(self._run_id), self._face.output_tail(self._run_id), FIRST
            )
            while not self._stop.is_set():
                found = follower.look()
                if found is not None:
                    self.began_late = self.began_late or (found[0] and len(found[1]) >= FIRST)
                    self._deliver(OutputRead(found[0], found[1], follower.taken))
                self._stop.wait(LOOK_EVERY)
        except Exception as error:  # shown on the screen, which stays open with what it has
            self._deliver(ReadFailed("output", error))
