from __future__ import annotations

import pytest

from engine.audit import Signer
from engine.audit.note import BadNote, NoteKey, parse_note, sign_note, verified_by

# From the documentation of Go's golang.org/x/mod/sumdb/note, where the format comes from.
KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIu"
    + "GUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_the_published_note_verifies():
    key = NoteKey.parse(KEY)
    note = parse_note(SIGNED.encode())
    assert verified_by(note, [key]) == (key,)
    assert str(note) == SIGNED
    assert str(key) == KEY


def test_a_changed_text_does_not():
    note = parse_note(SIGNED.replace("answer", "Answer").encode())
    with pytest.raises(BadNote, match="PeterNeumann"):
        verified_by(note, [NoteKey.parse(KEY)])


def test_ours_verify_and_unknown_keys_are_passed_over(signer: Signer):
    note = sign_note("one\n\nthree\n", "moat/a/run_b", signer)
    key = NoteKey("moat/a/run_b", signer.public_key)
    assert verified_by(parse_note(str(note).encode()), [key]) == (key,)
    assert verified_by(note, [NoteKey.parse(KEY)]) == ()
    assert verified_by(note, [NoteKey("another name", signer.public_key)]) == ()


def test_a_signature_counts_once(signer: Signer):
    note = sign_note("text\n", "me", signer)
    twice = parse_note((str(note) + note.signatures[0].line()).encode())
    with pytest.raises(BadNote):
        verified_by(twice, [NoteKey("me", signer.public_key)])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"\n\xe2\x80\x94 a AAAAAAAA\n",
        TEXT.encode() + b"\nPeterNeumann x08g\n",
        SIGNED.encode()[:-1],
        SIGNED.encode() + b"\n",
        SIGNED.replace("think", "thi\tnk").encode(),
        b"\xff" + SIGNED.encode(),
        SIGNED.encode() + b"\xe2\x80\x94 x AAAA\n" * 100,
        b"x" * 1_000_001,
    ],
)
def test_what_is_no_note(data: bytes):
    with pytest.raises(BadNote):
        parse_note(data)


@pytest.mark.parametrize("text", ["", "PeterNeumann", KEY.replace("c74f", "c74e"), KEY[:-4], "a b" + KEY])
def test_what_is_no_key(text: str):
    with pytest.raises(BadNote):
        NoteKey.parse(text)


@pytest.mark.parametrize(
    ("text", "name"), [("no end", "me"), ("a\tb\n", "me"), ("a\n", "m e"), ("a\n", "m+e")]
)
def test_what_no_note_can_say(text: str, name: str, signer: Signer):
    with pytest.raises(ValueError, match="note"):
        sign_note(text, name, signer)
