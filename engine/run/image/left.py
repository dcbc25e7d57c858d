"""Which of the images that Moat made are not needed any more, and their removal.

What the latest run of each workspace was made of stays, all its layers, and what live runs have: the next
run there most likely wants the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from engine.events import RunInfo
from engine.home import Home
from engine.run.image.make import lock_file
from engine.runtimes import Builder, home_label


def needed_layers(runs: Iterable[RunInfo], alive: Callable[[str], bool]) -> set[str]:
    """runs: newest first. alive: whether the run of that id has a supervisor."""
    needed: set[str] = set()
    seen: set[str] = set()
    for run in runs:
        if run.workspace not in seen or (run.layers and alive(run.id)):
            needed.update(run.layers)
        seen.add(run.workspace)
    return needed


async def remove_images(home: Home, builder: Builder, needed: set[str]) -> list[str]:
    """A line for each that is gone. What a container, kept or a person's own, still has stays."""
    done = []
    for image in await builder.made_images(home_label(home.root)):
        for name in image.names or (image.id,):
            if name not in needed and await builder.remove_image(name):
                done.append(f"removed image {name}")
                if image.names:
                    # Should somebody hold it in this moment, two make the same image at worst.
                    with contextlib.suppress(FileNotFoundError):
                        lock_file(home, name).unlink()
    return done
