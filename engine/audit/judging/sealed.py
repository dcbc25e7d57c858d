"""A checkpoint of a run together with whose signature on it holds. Pure."""

from __future__ import annotations

import msgspec

from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.judging.trust import BadKeys, RunTrust, Seal
from engine.audit.note import BadNote, parse_note


class Sealed(msgspec.Struct, frozen=True):
    """note: the whole signed note; said: its statement."""

    note: str
    said: Checkpoint
    seal: Seal

    @property
    def size(self) -> int:
        return self.said.size


def read_sealed(text: str, trust: RunTrust) -> Sealed:
    """Raises BadKeys, whose text begins with what is wrong with which checkpoint."""
    try:
        note = parse_note(text.encode())
        said = parse_checkpoint(note.text)
    except (BadNote, UnicodeEncodeError) as error:
        raise BadKeys("a checkpoint of the log is none") from error
    what = f"the checkpoint at size {said.size}"
    if said.origin != trust.origin:
        raise BadKeys(f"{what} is that of another log")
    closing = [line for line in said.extensions if line.startswith("closed ")]
    if closing and (len(closing) > 1 or not said.closed):
        raise BadKeys(f"{what} closes the log in a way that there is not")
    try:
        seal = trust.seal(note, said.size)
    except BadKeys as error:
        raise BadKeys(f"{what} {error}") from error
    if seal.run < 0 and closing and said.closed != "interrupted":
        raise BadKeys(f"{what} closes the log in a name that only the run's own key has")
    return Sealed(text, said, seal)
