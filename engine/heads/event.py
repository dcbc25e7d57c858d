"""One event of the installation's log: what happened to a key or a run, as a leaf of its tree. Pure.

The format is in engine/audit/FORMAT.md, "The installation's log".
"""

from __future__ import annotations

import msgspec

from engine.audit.canonical import canonical_json
from engine.audit.chain import TIMESTAMP
from engine.errors import AuditError

KEY, START, HEAD, CLOSE, DESTROY = "key", "start", "head", "close", "destroy"
MAX_BODY = 1_000_000  # characters


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """seq: from 1. ts: RFC 3339 UTC, not before that of the event before. run: "" for `key`; note: "" for
    `destroy`.

    The fields stand in the order of their names, which is the order that canonical JSON has.
    """

    event: str
    note: str = ""
    run: str = ""
    seq: int
    ts: str

    def body(self) -> str:
        """Its leaf, as text."""
        return canonical_json({name: value for name, value in msgspec.structs.asdict(self).items() if value})


def is_run_id(text: str) -> bool:
    """Whether `text` may name a run's directory."""
    return 0 < len(text) <= 64 and text.isascii() and text.replace("_", "").isalnum()


_decode = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode
_decode_any = msgspec.json.Decoder(dict[str, object]).decode


def parse_event(body: object, seq: int) -> Event:
    """The event that the row `seq` holds. Raises AuditError for anything but the one form it can have.

    Keys and events of a later version pass: what is not known here is not judged here.
    """
    if isinstance(body, str) and len(body) <= MAX_BODY:
        try:
            event = _decode(body)
            # The encoder's text is the canonical one but for five characters, which are rare here.
            canonical = _encode(event).decode() == body or canonical_json(_decode_any(body)) == body
        except (msgspec.MsgspecError, UnicodeError, RecursionError, AuditError):
            canonical = False
        if canonical and event.seq == seq and TIMESTAMP.fullmatch(event.ts):
            return event
    raise AuditError(f"event {seq} of the installation's log is not one")
