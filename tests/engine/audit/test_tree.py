"""The tree as it grows, when its head is signed, with which key, and who is told."""

from __future__ import annotations

import pickle
import weakref
from datetime import UTC, datetime, timedelta

import pytest
from support.run_keys import BEGIN, keys_of

from engine.audit import Entry, Signer
from engine.audit.checkpoint import parse_checkpoint
from engine.audit.keys import parse_certificate
from engine.audit.leaf import entry_leaf
from engine.audit.merkle import Frontier, root_of
from engine.audit.note import NoteKey, parse_note, verified_by
from engine.audit.run_keys import RunKeys
from engine.audit.sealer import ROTATION, Sealer
from engine.audit.teller import Teller
from engine.audit.tree import Tree, frontier_json, parse_frontier

SEED = bytes(32)
NOW = datetime(2026, 1, 12, 10, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def entries(count: int, after: int = 0) -> list[Entry]:
    return [
        Entry(seq, BEGIN, "console", "", {"line": str(seq)}, f'{{"line":"{seq}"}}', "")
        for seq in range(after + 1, after + count + 1)
    ]


def leaves(count: int) -> list[bytes]:
    return [entry_leaf(SEED, e.seq, e.ts, e.type, e.data) for e in entries(count)]


@pytest.fixture
def keys(signer: Signer) -> RunKeys:
    return keys_of(signer)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sealer(keys: RunKeys, clock: Clock) -> Sealer:
    return Sealer(Tree(keys.origin, SEED), keys, clock)


def write(sealer: Sealer, count: int, reason: str = "", when: datetime = NOW):
    sealing = sealer.prepare(entries(count, sealer.tree.frontier.size), when, reason)
    sealer.done(sealing)
    return sealing


def sizes(sealing) -> list[int]:
    return [size for size, _ in sealing.growth.checkpoints]


def test_a_checkpoint_says_size_and_head_and_is_signed_by_the_run(sealer: Sealer, keys: RunKeys):
    ((size, text),) = write(sealer, 3).growth.checkpoints
    note = parse_note(text.encode())
    head = parse_checkpoint(note.text)
    assert (size, head.size, head.root, head.origin) == (3, 3, root_of(leaves(3)), keys.origin)
    assert verified_by(note, [NoteKey(keys.origin, keys.signer.public_key)])


def test_the_first_entries_are_sealed_at_once_then_every_256(sealer: Sealer):
    assert sizes(write(sealer, 1)) == [1]
    assert sizes(write(sealer, 255)) == []
    assert sizes(write(sealer, 1)) == [257]
    assert sizes(write(sealer, 1000)) == [513, 769, 1025]  # one batch; 232 are left
    assert sealer.tree.unsealed == 232
    assert [
        parse_checkpoint(parse_note(note.encode()).text).root
        for _, note in write(sealer, 24).growth.checkpoints
    ] == [root_of(leaves(1281))]


def test_what_was_written_is_sealed_ten_seconds_after_the_last_time(sealer: Sealer, clock: Clock):
    write(sealer, 1)
    clock.now += 3
    assert sizes(write(sealer, 1)) == []
    assert sealer.due_in() == 7
    clock.now += 7
    assert sizes(write(sealer, 0)) == [2]
    assert sealer.due_in() > 60  # nothing more to say
    clock.now += 60
    assert sizes(write(sealer, 1)) == [3]  # with the entry


def test_a_batch_that_was_not_stored_changes_nothing(sealer: Sealer):
    write(sealer, 5)
    before = sealer.tree.frontier.root()
    sealer.prepare(entries(300, 5), NOW)
    assert (sealer.tree.frontier.size, sealer.tree.frontier.root(), sealer.tree.sealed) == (5, before, 5)


def test_the_close_record_takes_the_place_of_a_checkpoint_of_its_size(sealer: Sealer):
    write(sealer, 2)
    ((size, text),) = write(sealer, 0, "stopped").growth.checkpoints
    assert (size, parse_checkpoint(parse_note(text.encode()).text).closed) == (2, "stopped")


def test_a_close_record_at_a_multiple_of_256_is_the_only_one_there(sealer: Sealer):
    assert sizes(write(sealer, 256, "exited")) == [256]


def test_a_key_is_replaced_after_an_hour_and_the_one_before_is_gone(sealer: Sealer, clock: Clock):
    write(sealer, 2)
    first = sealer.keys.signer
    clock.now += ROTATION
    assert sealer.due_in() == 0
    sealing = sealer.prepare(entries(3, 2), NOW)
    assert sealer.keys.number == 0  # not before it is stored
    sealer.done(sealing)
    # The old key signs all there is, then the new key, and is used for nothing after that.
    ((size, text),) = sealing.growth.checkpoints
    assert verified_by(parse_note(text.encode()), [NoteKey(sealer.keys.origin, first.public_key)])
    certificate = sealer.keys.certificates[-1]
    assert verified_by(certificate, [NoteKey(sealer.keys.origin, first.public_key)])
    new = parse_certificate(certificate.text)
    assert (new.number, new.size, size, new.public_key) == (1, 5, 5, sealer.keys.signer.public_key)
    gone = weakref.ref(first)
    del first
    assert gone() is None
    ((_, later),) = write(sealer, 0, "exited").growth.checkpoints
    assert verified_by(parse_note(later.encode()), [new.note_key])


def test_keys_follow_one_another_in_time_whatever_the_clock_says(keys: RunKeys):
    times = [NOW + timedelta(hours=1), NOW, NOW + timedelta(hours=2)]
    for number, when in enumerate(times):
        keys.adopt(keys.successor(number, when))
    stamps = [parse_certificate(note.text).ts for note in keys.certificates]
    assert stamps == [BEGIN, "2026-01-12T11:00:00Z", "2026-01-12T11:00:00Z", "2026-01-12T12:00:00Z"]
    assert [parse_certificate(note.text).number for note in keys.certificates] == [0, 1, 2, 3]


def test_a_run_key_cannot_be_carried_away(keys: RunKeys):
    assert not hasattr(keys.signer, "seed")
    with pytest.raises(TypeError):
        pickle.dumps(keys)
    assert keys.signer.public_key.hex() not in repr(keys)


def test_a_frontier_reads_as_it_was_written():
    for size in (0, 1, 7, 256):
        frontier = Frontier()
        for leaf in leaves(size):
            frontier.add(leaf)
        again = parse_frontier(frontier_json(frontier))
        assert (again.size, again.roots) == (size, frontier.roots)
    for text in (
        "",
        "{}",
        '{"size":1,"roots":[]}',
        '{"size":1,"roots":["zz"]}',
        '{"size":-1,"roots":[]}',
        "[1]",
    ):
        with pytest.raises(ValueError, match="frontier"):
            parse_frontier(text)


def test_others_are_told_now_and_then_and_of_the_end(clock: Clock):
    told: list[int] = []

    def listener(note: str, size: int) -> None:
        told.append(size)
        raise OSError("its disk is full")

    teller = Teller(listener, clock)
    teller.offer(None)
    assert teller.due_in() is None
    teller.offer((1, "note"))
    teller.offer((1, "note"))
    teller.offer((257, "note"))
    teller.offer((513, "note"))
    assert (told, teller.due_in()) == ([1], 10)
    clock.now += 10
    teller.offer((513, "note"))
    assert (told, teller.due_in()) == ([1, 513], None)
    teller.offer((600, "note"))
    teller.last((600, "closed"))
    teller.last((600, "closed"))
    assert told == [1, 513, 600]
