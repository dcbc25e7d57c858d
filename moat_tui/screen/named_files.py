"""Files that a person names: what they typed as a path, names that are on their way, a name to begin with."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from textual.suggester import Suggester

LOOKED_AT = 2_000  # names in one directory


def file_name(run_name: str, ending: str) -> str:
    """A name for a file about a run; nothing of the run's name can leave the directory."""
    return (re.sub(r"[^A-Za-z0-9._-]+", "-", run_name).strip(".-")[:80] or "run") + ending


def named_path(text: str) -> Path:
    """What a person typed, with `~` as their home; relative to where Moat was started."""
    return Path(os.path.expanduser(text.strip()))


def completed(text: str) -> str | None:
    """`text` with the first name in its directory that begins so; a directory gets its slash. Blocking."""
    folder, _, begun = text.rpartition("/")
    if not text or (not begun and not folder):
        return None
    place = named_path(folder + "/" if "/" in text else ".")
    try:
        with os.scandir(place) as found:
            names = sorted(
                entry.name + ("/" if entry.is_dir() else "")
                for _, entry in zip(range(LOOKED_AT), found, strict=False)
                if entry.name.startswith(begun) and (begun or not entry.name.startswith("."))
            )
    except OSError:
        return None
    return text[: len(text) - len(begun)] + names[0] if names else None


class PathSuggester(Suggester):
    """The right arrow takes what is suggested."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(completed, value)
