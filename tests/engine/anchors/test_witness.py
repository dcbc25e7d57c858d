"""The witness's answers, row by row of the protocol, and the log's side against it over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from support.anchor_log import LOG, ORIGIN

from engine.anchors.cosignature import COSIGNATURE, Cosigned, cosign, cosigned_by
from engine.anchors.head import AnchorConflict, Anchored, AnchorFailed, Head
from engine.anchors.http_witness import HttpWitness
from engine.anchors.witness import SIZE, Answer, answer, format_request
from engine.anchors.witness_server import serve_witness
from engine.anchors.witness_state import WitnessState
from engine.audit import Signer
from engine.audit.note import BadNote, NoteKey, parse_note
from engine.home import Home

WITNESS = Signer(bytes(31) + b"w")
SUBMITTER = Signer(bytes(31) + b"s")
NAME = "witness.test/w1"
KEY = NoteKey(NAME, WITNESS.public_key, COSIGNATURE)
KNOWN = {ORIGIN: [NoteKey(ORIGIN, LOG.public_key), NoteKey(ORIGIN, SUBMITTER.public_key)]}
NOW = 1_679_315_147

type Grown = Callable[[int], Head]


def ask(head: Head, old: int, kept: str = "", proof: list[bytes] | None = None) -> Answer:
    given = (head.proof_from(old) if old else []) if proof is None else proof
    return answer(format_request(old, given, head.note), KNOWN, {ORIGIN: kept}, NAME, WITNESS, NOW)


def test_the_published_cosignature_verifies():
    """The specification's example; its witness's key is not published, so only the form is checked."""
    note = parse_note(
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin"
        "1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n".encode()
    )
    assert len(note.signatures[0].signature) == 8 + 64
    assert int.from_bytes(note.signatures[0].signature[:8], "big") == NOW
    assert cosigned_by(note, [KEY]) == ()


def test_a_first_head_is_cosigned(grown: Grown):
    head = grown(3)
    found = ask(head, 0)
    assert found.status == 200
    assert found.keep == head.note
    assert cosigned_by(parse_note((head.note + found.body).encode()), [KEY]) == (Cosigned(NAME, NOW),)


@pytest.mark.parametrize(("old", "new"), [(1, 1), (1, 2), (3, 4), (5, 12), (8, 8), (8, 11)])
def test_a_grown_log_is_cosigned(grown: Grown, old: int, new: int):
    assert ask(grown(new), old, grown(old).note).status == 200


def test_another_history_is_not(grown: Grown, forked: Grown):
    """422 for a proof that cannot be made; 409 and an accusation for a second head of one size."""
    assert ask(forked(9), 5, grown(5).note).status == 422
    same = ask(forked(5), 5, grown(5).note)
    assert (same.status, same.body, same.content_type) == (409, "5\n", SIZE)
    assert "two different heads" in same.misbehaviour
    assert not same.keep


def test_a_log_that_does_not_know_where_the_witness_is_is_told(grown: Grown):
    found = ask(grown(9), 3, grown(5).note)
    assert (found.status, found.body, found.content_type, found.misbehaviour) == (409, "5\n", SIZE, "")
    assert ask(grown(4), 0, grown(5).note).body == "5\n"


def test_who_is_not_known_is_refused(grown: Grown):
    head = grown(2)
    asked = format_request(0, [], head.note)
    assert answer(asked, {}, {}, NAME, WITNESS, NOW).status == 404
    strange = {ORIGIN: [NoteKey(ORIGIN, WITNESS.public_key)]}
    assert answer(asked, strange, {}, NAME, WITNESS, NOW).status == 403
    forged = asked.replace(b"\n2\n", b"\n3\n", 1)
    assert answer(forged, KNOWN, {}, NAME, WITNESS, NOW).status == 403


@pytest.mark.parametrize(
    "data", [b"", b"old 1", b"old 01\n\n", b"old 1\nAAAA\n\n", b"old x\n\nnote\n", b"\xff" * 70000]
)
def test_what_is_no_request(data: bytes):
    assert answer(data, KNOWN, {}, NAME, WITNESS, NOW).status == 400


def test_an_old_size_beyond_the_new_one(grown: Grown):
    assert ask(grown(2), 3, proof=[]).status == 400


def test_a_proof_from_nothing_is_empty(grown: Grown):
    assert ask(grown(2), 0, proof=[bytes(32)]).status == 422


def test_a_cosignature_of_something_else_is_none(grown: Grown):
    head = grown(2)
    line = cosign(grown(3).note.partition("\n\n")[0] + "\n", NAME, WITNESS, NOW)
    with pytest.raises(BadNote, match="cosignature"):
        cosigned_by(parse_note((head.note + line.line()).encode()), [KEY])


# Over HTTP, with what the witness remembers on disk


def state(tmp_path: Path) -> WitnessState:
    return WitnessState(Home(tmp_path / "witness"), NAME, WITNESS, KNOWN)


async def test_the_log_and_the_witness_over_http(tmp_path: Path, grown: Grown, forked: Grown):
    said: list[str] = []
    async with serve_witness(state(tmp_path), "127.0.0.1", 0, said.append) as url:
        place = HttpWitness(url, KEY, SUBMITTER)
        first = Anchored("witness", url)
        body = await place.anchor(grown(3), first)
        assert [one.witness for one in cosigned_by(parse_note(body.encode()), [KEY])] == [NAME]
        # It finds out by itself how far the witness is.
        body = await place.anchor(grown(7), first)
        last = Anchored("witness", url, 7, grown(7).note, "", body)
        with pytest.raises(AnchorConflict, match="another history") as caught:
            await place.anchor(forked(9), last)
        assert forked(9).note in caught.value.proof
        assert body in caught.value.proof
        with pytest.raises(AnchorConflict):
            await place.anchor(grown(5), first)  # a log that was restored from a copy, and forgot
        with pytest.raises(AnchorConflict):
            await place.anchor(forked(7), last)
    accusations = list((tmp_path / "witness" / "misbehaviour").iterdir())
    assert len(accusations) == 1
    assert accusations[0].read_text().count(ORIGIN) >= 3
    assert any("MISBEHAVIOUR" in line for line in said)


async def test_of_many_requests_at_once_one_history_is_cosigned(tmp_path: Path, grown: Grown, forked: Grown):
    witness = state(tmp_path)
    asked = [format_request(0, [], grown(4).note), format_request(0, [], forked(5).note)] * 20
    answers = await asyncio.gather(*(asyncio.to_thread(witness.answer, one) for one in asked))
    statuses = [one.status for one in answers]
    assert statuses.count(200) == 1


async def test_a_witness_that_is_not_there_or_is_another_one(tmp_path: Path, grown: Grown):
    with pytest.raises(AnchorFailed):
        await HttpWitness("http://127.0.0.1:1", KEY, SUBMITTER).anchor(grown(1), Anchored("witness", ""))
    async with serve_witness(state(tmp_path), "127.0.0.1", 0, lambda text: None) as url:
        other = NoteKey("witness.test/other", WITNESS.public_key, COSIGNATURE)
        with pytest.raises(AnchorFailed, match="did not sign with"):
            await HttpWitness(url, other, SUBMITTER).anchor(grown(1), Anchored("witness", ""))
        head = grown(1)
        strange = Head(head.checkpoint, head.note.replace(ORIGIN, "moat/unknown"), head.leaves)
        with pytest.raises(AnchorFailed, match="404"):
            await HttpWitness(url, KEY, SUBMITTER).anchor(strange, Anchored("witness", ""))


async def test_strangers_keep_nobody_out_and_write_nothing_on_the_terminal(
    tmp_path: Path, grown: Grown, capfd: pytest.CaptureFixture[str]
):
    begin = b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    async with (
        asyncio.timeout(20),
        serve_witness(state(tmp_path), "127.0.0.1", 0, lambda text: None) as url,
    ):
        port = int(url.rpartition(":")[2])
        idle = []
        for _ in range(70):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begin + b"Expect: 100-continue\r\n\r\no")
            await reader.readuntil(b"\r\n\r\n")  # it is being served, and waits for the rest
            idle.append(writer)
        await HttpWitness(url, KEY, SUBMITTER).anchor(grown(1), Anchored("witness", ""))
        for writer in idle:
            writer.transport.abort()
        for stranger in (begin + b"Content-Encoding: gzip\r\n\r\nabc", b"\x16\x03\x01\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(stranger)
            assert b" 400 " in await reader.readline()
            writer.close()
    assert capfd.readouterr().err == ""
