from __future__ import annotations

import pytest

from engine.audit import Signer
from engine.audit.checkpoint import Checkpoint, parse_checkpoint
from engine.audit.keys import Certificate, installation_origin, parse_certificate, run_origin
from engine.audit.merkle import EMPTY_ROOT
from engine.audit.note import BadNote, NoteKey, verified_by

ROOT = bytes(range(32))
TEXT = "moat/a/run_b\n256\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"


def test_there_and_back():
    made = Checkpoint("moat/a/run_b", 256, ROOT)
    assert made.text() == TEXT
    assert parse_checkpoint(TEXT) == made
    assert parse_checkpoint(TEXT + "an extension\n").extensions == ("an extension",)


def test_a_close_record_says_why(signer: Signer):
    made = Checkpoint.closing("moat/a/run_b", 3, ROOT, "stopped")
    assert parse_checkpoint(made.text()).closed == "stopped"
    assert not parse_checkpoint(TEXT).closed
    assert not parse_checkpoint(TEXT + "closed by magic\n").closed
    key = NoteKey("moat/a/run_b", signer.public_key)
    assert verified_by(made.sign(signer), [key]) == (key,)
    with pytest.raises(ValueError, match="lost"):
        Checkpoint.closing("moat/a/run_b", 3, ROOT, "lost")


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:-1],
        TEXT.replace("256", "0256"),
        TEXT.replace("256", "-1"),
        TEXT.replace("256", "2^8"),
        TEXT.replace("8=", "8"),
        TEXT.replace("AAEC", "AAE"),
        TEXT.replace("h8=", "h9="),  # the same bytes in a second spelling
        "\n" + TEXT,
        TEXT + "\n",
        TEXT + "bell\x07\n",
    ],
)
def test_what_is_no_checkpoint(text: str):
    with pytest.raises(BadNote):
        parse_checkpoint(text)


def test_an_origin_is_one_line():
    with pytest.raises(ValueError, match="one line"):
        Checkpoint("two\nlines", 0, EMPTY_ROOT).text()


def test_a_certificate_there_and_back(signer: Signer):
    origin = installation_origin(signer.public_key)
    assert origin == "moat/56475aa75463474c"
    following = Signer.generate()
    made = Certificate(run_origin(origin, "run_b"), 1, following.public_key, 300, "2026-01-12T10:00:00Z")
    assert parse_certificate(made.text()) == made
    key = NoteKey(origin, signer.public_key)
    assert verified_by(made.sign(signer, origin), [key]) == (key,)
    assert made.note_key.name == "moat/56475aa75463474c/run_b"


@pytest.mark.parametrize(("old", "new"), [("key 1", "key 01"), ("from 3", "from -3"), ("Z", ""), ("=", "")])
def test_what_is_no_certificate(old: str, new: str):
    text = Certificate("moat/a", 1, ROOT, 3, "2026-01-12T10:00:00Z").text()
    with pytest.raises(BadNote):
        parse_certificate(text.replace(old, new))
    with pytest.raises(BadNote):
        parse_certificate(text + "more\n")
