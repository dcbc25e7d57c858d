"""A witness on disk: its key, the logs it knows, the last head it cosigned of each.

`answer` looks and remembers under one lock: of two requests at once only one can follow the kept head, also
when several processes serve the same directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from engine.anchors.witness import Answer, answer, parse_request
from engine.audit.note import BadNote, NoteKey
from engine.audit.signer import Signer
from engine.errors import HomeError
from engine.home import Home


class WitnessState:
    """home: a tree whose root is the witness's directory. name: the one it signs with."""

    def __init__(
        self,
        home: Home,
        name: str,
        signer: Signer,
        logs: Mapping[str, Sequence[NoteKey]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._home = home
        self._signer = signer
        self._logs = logs
        self._clock = clock
        home.ensure_dir(self._heads)

    def answer(self, data: bytes) -> Answer:
        """Answer an add-checkpoint request; what is cosigned is on the disk before this returns. Blocking.

        Raises HomeError when it cannot be.
        """
        with self._locked():
            kept = self._kept(data)
            found = answer(data, self._logs, kept, self.name, self._signer, int(self._clock()))
            if found.keep:
                self._home.write(self._path(next(iter(kept))), found.keep.encode())
            if found.misbehaviour:
                self._accuse(data, found.misbehaviour, kept)
            return found

    @property
    def accusations(self) -> Path:
        """Where proofs of misbehaviour are written, a file each."""
        return self._home.root / "misbehaviour"

    @property
    def _heads(self) -> Path:
        return self._home.root / "heads"

    def _path(self, origin: str) -> Path:
        return self._heads / hashlib.sha256(origin.encode()).hexdigest()

    def _kept(self, data: bytes) -> dict[str, str]:
        """The kept note of the request's log, "" for none; nothing for a log that is not witnessed."""
        try:
            origin = parse_request(data).checkpoint.origin
        except BadNote:
            return {}
        if origin not in self._logs:
            return {}
        try:
            return {origin: self._home.read(self._path(origin)).decode()}
        except FileNotFoundError:
            return {origin: ""}

    def _accuse(self, data: bytes, why: str, kept: Mapping[str, str]) -> None:
        origin, before = next(iter(kept.items()))
        proof = f"{origin}: {why}\n\nFirst:\n\n{before}\nThen:\n\n{parse_request(data).note}"
        digest = hashlib.sha256(proof.encode()).hexdigest()[:16]
        self._home.write(self.accusations / f"{digest}.txt", proof.encode())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._home.open_private(self._home.root / ".lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise HomeError(f"the witness cannot use {self._home.root}: {error.strerror}") from error
        finally:
            os.close(lock)
