"""A checkpoint: the signed statement how large a log is and what its Merkle head is.

Source: C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint): a signed note of three lines, origin,
number of leaves in decimal, head in base64; further lines are extensions. Ours has at most one: that
the log was closed, and why.
"""

from __future__ import annotations

import base64
import binascii
import re

import msgspec

from engine.audit.merkle import HASH_BYTES
from engine.audit.note import BadNote, Note, sign_note
from engine.audit.signer import Signer

REASONS = ("exited", "stopped", "failed", "interrupted")  # why a log was closed
_CLOSED = "closed "
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_LINE = re.compile(r"[^\x00-\x1f\x7f]+")


class Checkpoint(msgspec.Struct, frozen=True):
    """origin: `moat/INSTALLATION[/RUN]`. size: leaves. root: 32 bytes. extensions: lines, seldom any."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @classmethod
    def closing(cls, origin: str, size: int, root: bytes, reason: str) -> Checkpoint:
        """The close record of a log. Raises ValueError for a reason that there is none of."""
        if reason not in REASONS:
            raise ValueError(f"a log is not closed as {reason!r}")
        return cls(origin, size, root, (_CLOSED + reason,))

    @property
    def closed(self) -> str:
        """Why the log was closed with this checkpoint; "" when it was not."""
        for line in self.extensions:
            if line.startswith(_CLOSED) and line.removeprefix(_CLOSED) in REASONS:
                return line.removeprefix(_CLOSED)
        return ""

    def text(self) -> str:
        """What is signed. Raises ValueError for an origin or extension that would read as something else."""
        if not all(_LINE.fullmatch(line) for line in (self.origin, *self.extensions)):
            raise ValueError("an origin and an extension are each one line of printable text")
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(line + "\n" for line in lines)

    def sign(self, signer: Signer, name: str = "") -> Note:
        """Signed under the name `name`, or the origin."""
        return sign_note(self.text(), name or self.origin, signer)


def parse_checkpoint(text: str) -> Checkpoint:
    """The statement in a note's text. Raises BadNote, also for a number that is not in its one form."""
    origin, _, rest = text.partition("\n")
    size, _, rest = rest.partition("\n")
    root, _, rest = rest.partition("\n")
    extensions = tuple(rest.split("\n")[:-1])
    try:
        head = base64.b64decode(root, validate=True)
    except (binascii.Error, ValueError):
        head = b""
    sound = text.endswith("\n") and _LINE.fullmatch(origin) and _SIZE.fullmatch(size)
    if not sound or len(head) != HASH_BYTES or base64.b64encode(head).decode() != root:
        raise BadNote("this is not a checkpoint", remedy="Its lines are: origin, size, head in base64.")
    if not all(_LINE.fullmatch(line) for line in extensions):
        raise BadNote("the checkpoint has an empty line or control characters in its extensions")
    return Checkpoint(origin, int(size), head, extensions)
