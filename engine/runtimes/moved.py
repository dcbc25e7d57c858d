"""Mounts that are no longer what was judged."""

from __future__ import annotations

import os

from engine.errors import UsageError
from engine.runtimes.spec import Bind


def refuse_moved(binds: tuple[Bind, ...]) -> None:
    """Raise UsageError when a bind's source, which was resolved when it was judged, leads elsewhere now.

    The engine follows links when the container starts, and an agent that still runs on the same workspace
    could put one there in between. What is left to it is the moment between this look and the engine's.
    """
    for bind in binds:
        if os.path.realpath(bind.source) != bind.source:
            raise UsageError(
                f"the mount {bind.source} was replaced by a symbolic link while the run was being prepared",
                remedy="See who changes that directory, a running agent perhaps, and start the run again.",
            )
