from __future__ import annotations

import base64
import pickle

import pytest

from engine.audit import Signer
from engine.audit.signer import signature_valid

ROOT = "72a3f44a5651607f4f6a6fb0e3721d9ef9301c140ec0eebb3ede9f350f88dc6f"
PUBLIC = base64.b64decode("A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=")
SIGNATURE = base64.b64decode(
    "8eQdLA0aZLogL+JLpqn7yUkqxhEJJD4HjAcALv7RsdD4XmCH/F6WqC7c/EbzLA2+8ZNpG8g6QMa5EcXqay4FCw=="
)


def test_vector(signer: Signer):
    assert signer.public_key == PUBLIC
    assert signer.sign(ROOT) == SIGNATURE
    assert signature_valid(PUBLIC, ROOT, SIGNATURE)


def test_anything_else_is_not_valid(signer: Signer):
    assert not signature_valid(PUBLIC, ROOT[:-1] + "0", SIGNATURE)
    assert not signature_valid(Signer.generate().public_key, ROOT, SIGNATURE)
    assert not signature_valid(PUBLIC, ROOT, SIGNATURE[:-1])
    assert not signature_valid(b"", ROOT, SIGNATURE)
    assert not signature_valid(PUBLIC, "é", SIGNATURE)


def test_the_seed_is_not_shown_and_not_pickled(signer: Signer):
    assert signer.seed.hex() not in repr(signer)
    assert repr(signer.seed) not in repr(signer)
    with pytest.raises(TypeError):
        pickle.dumps(signer)


def test_a_seed_has_32_bytes():
    with pytest.raises(ValueError, match="32"):
        Signer(b"short")
    assert len(Signer.generate().seed) == 32
