"""How many lines a set of growing files has, without reading any byte twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

BUDGET = 8 * 1024 * 1024  # most bytes read in one update, so that a look stays short
_BLOCK = 1024 * 1024


class LineCounts:
    """Counts complete lines by key; a key whose file is still being counted has no count yet."""

    def __init__(self) -> None:
        self._read: dict[str, int] = {}
        self._lines: dict[str, int] = {}
        self._ready: set[str] = set()

    def counts(self) -> dict[str, int]:
        return {key: self._lines[key] for key in self._ready}

    def update(self, files: Mapping[str, Path], budget: int = BUDGET) -> bool:
        """Count what was added, at most `budget` bytes of it; True when a count has changed."""
        before = self.counts()
        for key in self._read.keys() - files.keys():
            self._forget(key)
        for key, path in files.items():
            budget -= self._count(key, path, budget)
        return self.counts() != before

    def _count(self, key: str, path: Path, budget: int) -> int:
        """Returns the bytes read."""
        try:
            end = os.stat(path, follow_symlinks=False).st_size
        except OSError:
            end = 0
        if end < self._read.get(key, 0):  # replaced by a shorter file
            self._forget(key)
        start = at = self._read.setdefault(key, 0)
        self._lines.setdefault(key, 0)
        if at < end and budget > 0:
            with open(path, "rb", buffering=0) as file:
                file.seek(at)
                while at < end and at - start < budget:
                    block = file.read(min(_BLOCK, end - at))
                    if not block:
                        break
                    at += len(block)
                    self._lines[key] += block.count(b"\n")
            self._read[key] = at
        if at >= end:
            self._ready.add(key)
        return at - start

    def _forget(self, key: str) -> None:
        self._read.pop(key, None)
        self._lines.pop(key, None)
        self._ready.discard(key)
