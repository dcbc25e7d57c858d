"""The installation's log judged from its first event to its last, and what it says of each run. Pure.

What is not covered by a signed head yet (the heads of live runs, mostly) counts, but only as far as
nobody changed the file: `signed` says where that begins.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.keys import Certificate, installation_origin, parse_certificate, run_origin
from engine.audit.merkle import HASH_BYTES, Frontier, leaf_hash
from engine.audit.note import Note, NoteKey, parse_note, verified_by
from engine.errors import AuditError
from engine.heads.event import CLOSE, DESTROY, HEAD, KEY, START, Event, is_run_id, parse_event

LOG = "the installation's log"


class RecordedRun(msgspec.Struct, frozen=True):
    """What was recorded of a run. Empty texts and size 0: nothing of that kind.

    start: the certificate of its key 0, made at started_at. size, root (32 bytes), head: of its largest
    head, and the note that says so. closed: its close record. fault: how what was recorded contradicts
    itself. start_seq, head_seq, close_seq: the events of its start, largest head and close, 0 for none.
    """

    run: str
    started_at: str = ""
    start: str = ""
    size: int = 0
    root: bytes = b""
    head: str = ""
    closed: str = ""
    destroyed_at: str = ""
    fault: str = ""
    start_seq: int = 0
    head_seq: int = 0
    close_seq: int = 0


class Stored(msgspec.Struct, frozen=True):
    """What heads.db says of itself beside its events. checkpoints: size -> note."""

    origin: str = ""
    frontier: Frontier = Frontier()
    signed: Frontier = Frontier()
    checkpoints: dict[int, str] = {}


class History:
    """Feed it every row in order, then `finish`. key0: the pinned public key, 32 bytes.

    fault: the first thing that does not hold, "" while everything does; at: the event's seq, 0 when no
    event can be named. signed: the size of the largest head that is signed. certificates: notes that
    introduce keys 1, 2, … bodies: of those events that RecordedRuns name.
    """

    def __init__(self, key0: bytes, stored: Stored) -> None:
        self.key0 = key0
        self.origin = installation_origin(key0)
        self.fault = ""
        self.at = 0
        self.signed = 0
        self.checkpoint = ""
        self.began = ""
        self.certificates: list[Note] = []
        self.runs: dict[str, RecordedRun] = {}
        self.bodies: dict[int, str] = {}
        self._key = NoteKey(self.origin, key0)
        self._stored = stored
        self._frontier = Frontier()
        self._leaves = bytearray()
        self._latest: datetime | None = None
        self._ts = ""

    @property
    def size(self) -> int:
        return self._frontier.size

    def leaves(self, size: int) -> list[bytes]:
        """The hashes of the first `size` events."""
        return [bytes(self._leaves[at : at + HASH_BYTES]) for at in range(0, size * HASH_BYTES, HASH_BYTES)]

    def continued(self, stored: Stored) -> History | None:
        """A copy to feed what was added since, given what the file now says of itself; None when it says
        something else of what was there before.
        """
        held = self._stored.checkpoints
        same = all(stored.checkpoints.get(size) == note for size, note in held.items())
        if (
            self.fault
            or not same
            or any(size < self.size and size not in held for size in stored.checkpoints)
        ):
            return None
        later = copy.copy(self)
        later.certificates, later.runs, later.bodies = [*self.certificates], {**self.runs}, {**self.bodies}
        later._leaves, later._frontier, later._stored = self._leaves[:], self._frontier.copy(), stored
        # The head of what was read may have been signed since, with nothing added to it.
        if (text := stored.checkpoints.get(self.size)) is not None and text != held.get(self.size):
            try:
                later._check_head(text)
            except AuditError as error:
                later.fault, later.at = error.what, self.size
        return later

    def feed(self, rows: Iterable[tuple[Any, Any]]) -> None:
        """Rows (seq, body); what follows the first fault is not looked at."""
        if self.fault:
            return
        seq = self.size
        try:
            for number, body in rows:
                seq += 1
                if type(number) is not int or number != seq:
                    raise AuditError(f"event {seq} of {LOG} is missing")
                self._take(parse_event(body, seq), body)
        except AuditError as error:
            self.fault, self.at = error.what, seq

    def finish(self) -> None:
        """After the last row: what the file says of itself must be what its events come to."""
        if self.fault:
            return
        stored = self._stored
        if stored.origin != self.origin:
            self.fault = f"{LOG} is that of another installation"
        elif beyond := [size for size in stored.checkpoints if not 0 < size <= self.size]:
            self.fault = f"{LOG} was cut off: it ends at event {self.size}, and {max(beyond)} were signed"
            self.at = self.size + 1
        elif (stored.frontier.size, stored.frontier.roots) != (self.size, self._frontier.roots):
            self.fault = f"the events of {LOG} are not those that were written"
            self.at = min(stored.frontier.size, self.size) + 1
        elif stored.signed.size != self.signed:
            self.fault = f"the head of {stored.signed.size} events of {LOG}, which was signed, is missing"

    def _take(self, event: Event, body: str) -> None:
        if event.ts != self._ts:
            moment = datetime.fromisoformat(event.ts)
            if self._latest is not None and moment < self._latest:
                raise AuditError(f"event {event.seq} of {LOG} is older than the one before it")
            self._latest, self._ts = moment, event.ts
        self.began = self.began or event.ts
        if event.event == KEY:
            self._change_key(event)
        elif event.run:
            if not is_run_id(event.run):
                raise AuditError(f"event {event.seq} of {LOG} names no run")
            known = self.runs.get(event.run) or RecordedRun(event.run)
            told = self.runs[event.run] = self._told(event, known)
            self.bodies[event.seq] = body
            if told.head_seq != known.head_seq:
                self.bodies.pop(known.head_seq, None)
        leaf = leaf_hash(body.encode())
        self._leaves += leaf
        self._frontier.add(leaf)
        if (text := self._stored.checkpoints.get(event.seq)) is not None:
            self._check_head(text)

    def _told(self, event: Event, known: RecordedRun) -> RecordedRun:
        replace = msgspec.structs.replace
        if event.event == START:
            self._check_start(event)
            fault = known.fault or ("it was started twice" if known.start else "")
            return replace(known, start=event.note, started_at=event.ts, start_seq=event.seq, fault=fault)
        if event.event == DESTROY:
            return replace(known, destroyed_at=event.ts)
        if event.event not in (HEAD, CLOSE):
            return known
        head = self._head_of(event)
        known = replace(known, fault=known.fault or _contradiction(known, head))
        if head.size >= known.size:
            known = replace(known, size=head.size, root=head.root, head=event.note, head_seq=event.seq)
        return replace(known, closed=event.note, close_seq=event.seq) if head.closed else known

    def _check_start(self, event: Event) -> None:
        note = parse_note(event.note.encode())
        said = parse_certificate(note.text)
        sound = (said.origin, said.number, said.size) == (run_origin(self.origin, event.run), 0, 0)
        if not sound or said.ts != event.ts or not verified_by(note, [self._key]):
            raise AuditError(f"event {event.seq} of {LOG} certifies no key of that run")

    def _head_of(self, event: Event) -> Checkpoint:
        """Whose signature it has is judged with the run's own keys, which the run's log holds."""
        # Of thousands of heads only the newest is ever asked for, so its signatures are looked at then.
        told = parse_checkpoint(event.note.partition("\n\n")[0] + "\n")
        if told.origin != run_origin(self.origin, event.run) or (event.event == CLOSE) != bool(told.closed):
            raise AuditError(f"event {event.seq} of {LOG} is no {event.event} of that run")
        return told

    def _change_key(self, event: Event) -> None:
        note = parse_note(event.note.encode())
        said = parse_certificate(note.text)
        expected = Certificate(self.origin, len(self.certificates) + 1, said.public_key, self.size, event.ts)
        if said != expected or not verified_by(note, [self._key]):
            raise AuditError(f"event {event.seq} of {LOG} does not continue its keys")
        if self.size != self.signed:  # or whoever has the new key could write anew what was there before it
            raise AuditError(
                f"the head that the key before it signed last is missing before event {event.seq} of {LOG}"
            )
        self.certificates.append(note)
        self._key = said.note_key

    def _check_head(self, text: str) -> None:
        note = parse_note(text.encode())
        head = parse_checkpoint(note.text)
        if head != Checkpoint(self.origin, self.size, self._frontier.root()):
            raise AuditError(f"the signed head of {self.size} events of {LOG} is another one")
        if not verified_by(note, [self._key]):
            raise AuditError(f"the head of {self.size} events of {LOG} is not signed by its key")
        self.signed, self.checkpoint = self.size, text


def _contradiction(known: RecordedRun, head: Checkpoint) -> str:
    if not known.start:
        return "a head of it was recorded, and no start"
    if known.root and head.size == known.size and head.root != known.root:
        return f"two different heads of {head.size} entries were recorded"
    if known.closed and (not head.closed or head.size != known.size):
        return "a head was recorded after its close record"
    if head.closed and head.size < known.size:
        return f"it was closed at {head.size} entries, and a head of {known.size} was recorded before"
    return ""
