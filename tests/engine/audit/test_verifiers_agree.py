"""The engine's verifier and moat_verify.py held against one another, where no table leads: at random."""

from __future__ import annotations

import ast
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audit_cases import PIN, by_both, by_engine, by_itself, old_site, text_of
from support.audit_forge import Key, Log, b64
from support.audit_healthy import go_bundle
from support.audit_proofs import interrupted

from engine.audit.canonical import ordered_json
from engine.audit.judging.pins import parse_pin
from engine.audit.signer import ed25519_valid, is_public_key
from engine.audit.standalone import moat_verify
from engine.errors import AuditError

FILE = Path(moat_verify.__file__)
SECONDS = float(os.environ.get("MOAT_FUZZ_SECONDS", "4")) / 2
ORDER = 2**252 + 27742317777372353535851937790883648493
FIELD = 2**255 - 19


def samples() -> list[bytes]:
    rotated = Log(site=old_site(), began="2026-01-12T09:00:00Z").begin().write(3).rotate().write(2).seal()
    documents = [
        rotated.write(2).interrupt().bundle(),
        Log().begin().write(4).seal().write(2).close().bundle(),
        Log(version=1).write(3).attest(Key("site 0")).bundle(),
        go_bundle(False),
        Log()
        .begin()
        .write(1, "exec", command=["é", "<"], exit_code=0)
        .close()
        .proof(1, withheld=("command",)),
        interrupted().proof(310),
    ]
    return [json.dumps(document, separators=(",", ":")).encode() for document in documents]


def bent(data: bytes, chance: random.Random) -> bytes:
    """One to three changes of a few bytes: flipped, cut, doubled, or something put in."""
    for _ in range(chance.randint(1, 3)):
        at, to = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        to = min(to, at + chance.choice((1, 1, 2, 8, 64)))
        change = chance.randrange(7)
        if change == 0:
            data = data[:at] + bytes(chance.randrange(32, 127) for _ in range(to - at)) + data[to:]
        elif change == 1:
            data = data[:at] + data[to:]
        elif change == 2:
            data = data[:to] + data[at:to] + data[to:]
        elif change == 3:
            data = data[:at] + chance.choice(PIECES) + data[at:]
        elif change == 4 and data[at:to].isalnum():
            data = data[:at] + data[at:to].swapcase() + data[to:]
        elif change == 5:
            digits = [place for place in range(at, min(at + 200, len(data))) if 48 <= data[place] <= 57]
            if digits:
                place = chance.choice(digits)
                data = data[:place] + bytes([chance.randrange(48, 58)]) + data[place + 1 :]
        else:
            data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
    return data


PIECES = [
    b"0", b"-", b"1e1", b".5", b'"', b"\\", b"\\u0000", b"\\ud800", b"\\n", b",", b"[]", b"{}", b"null",
    b"true", b" ", b"\n", b'"seq":1,', b'"x":1,', b"=", b"+", b"\xe2\x80\x94", b"\xff", b"[" * 70,
    b"9" * 20, b"00", b"<", b'"data":{},', b"\\u003c",
]  # fmt: skip


def test_bent_bundles_are_judged_alike_and_never_accepted_as_another_story():
    chance = random.Random(int(os.environ.get("MOAT_FUZZ_SEED", "6962")))
    whole = samples()
    honest = [json.loads(data) for data in whole]
    end, tried = time.monotonic() + SECONDS, 0
    while time.monotonic() < end or tried < 300:
        number = chance.randrange(len(whole))
        data = bent(whole[number], chance)
        one, other = by_engine(data, PIN), by_itself(data, PIN)
        assert one == other, data
        tried += 1
        if one["verdict"] == "INTACT":
            assert story(json.loads(data)) == story(honest[number]), data


def story(document: dict) -> list[dict]:
    """Its entries, without keys that no reader knows."""
    names = ("seq", "ts", "type", "prev", "data", "hash")
    return [{name: entry[name] for name in names if name in entry} for entry in document["entries"]]


def test_bent_values_are_judged_alike():
    """Whole values of the parsed document replaced, so that more of it than its JSON is reached."""
    chance = random.Random(9162)
    whole = [json.loads(data) for data in samples()]
    strings = [text for document in whole for text in leaves(document) if isinstance(text, str)]
    end, tried = time.monotonic() + SECONDS, 0
    while time.monotonic() < end or tried < 200:
        document = json.loads(json.dumps(chance.choice(whole)))
        places = list(spots(document))
        for holder, key in chance.sample(places, chance.choice((1, 1, 2))):
            old = holder[key]
            new = [chance.choice(strings), None, [], {}, 0, 2**63, "", [old], {"a": old}]
            if isinstance(old, str) and old:
                at = chance.randrange(len(old))
                new += [
                    old[:at] + chance.choice("AZ9=+/\u2014 \n") + old[at + 1 :],
                    old[:at] + old[at + 1 :],
                ] * 4
            if type(old) is int:
                new += [old + 1, old - 1, -old] * 3
            holder[key] = chance.choice(new)
        data = text_of(document) if chance.random() < 0.5 else json.dumps(document).encode()
        by_both(data, PIN, finished=chance.random() < 0.2)
        tried += 1


def leaves(value: object) -> list[object]:
    if isinstance(value, dict | list):
        return [
            leaf for inner in (value.values() if isinstance(value, dict) else value) for leaf in leaves(inner)
        ]
    return [value]


def spots(value: object) -> list[tuple]:
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [spot for key in keys for spot in ((value, key), *spots(value[key]))]


# RFC 8032, section 7.1, TEST 1 to 3.
VECTORS = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
     "d25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
     "387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
     "4a7c15e9716ed28dc027beceea1ec40a"),
]  # fmt: skip


def checks(key: bytes, message: bytes, signature: bytes) -> bool:
    one, other = ed25519_valid(key, message, signature), moat_verify.ed25519_valid(key, message, signature)
    assert one == other
    return one


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_rfc_8032(key: str, message: str, signature: str):
    public, text, signed = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert checks(public, text, signed)
    for at in range(64):
        assert not checks(public, text, signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :])
    assert not checks(public, text + b"x", signed)
    s = int.from_bytes(signed[32:], "little")
    assert not checks(public, text, signed[:32] + (s + ORDER).to_bytes(32, "little"))
    assert not checks(public, text, signed[:63])
    assert not checks(public, text, signed + b"\0")
    assert not checks(public[:31], text, signed)


def test_keys_in_a_second_spelling_and_of_small_order_are_refused_alike():
    identity = b"\1" + bytes(31)
    small = [0, 1, FIELD - 1, FIELD, FIELD + 1, 2**255 - 1]
    eight = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
    keys = [number.to_bytes(32, "little") for number in small] + [bytes.fromhex(eight)]
    keys += [key[:31] + bytes([key[31] ^ 0x80]) for key in keys]
    for key in keys:
        assert not is_public_key(key)
        for first in (identity, key):
            assert not checks(key, b"anything", first + bytes(32))


def test_random_keys_and_signatures_are_judged_alike():
    chance = random.Random(8032)
    for number in range(40):
        key, message = Key(str(number)), chance.randbytes(number)
        assert checks(key.public, message, key.private.sign(message))
        assert not checks(chance.randbytes(32), message, key.private.sign(message))
        assert not checks(key.public, message, chance.randbytes(64))


texts = st.text()
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(texts, values, max_size=5))
def test_one_canonical_form(data: dict):
    try:
        one = ordered_json(data)
    except AuditError:
        one = None
    try:
        other = moat_verify.canonical(data)
    except ValueError:
        other = None
    assert one == other


@pytest.mark.parametrize("spelling", [PIN.hex(), PIN.hex().upper(), b64(PIN), PIN.hex() + "\n", ""])
def test_keys_are_read_alike(spelling: str):
    assert parse_pin(spelling) == moat_verify.parse_key(spelling) == (PIN if spelling else None)


@given(st.text(st.sampled_from("moat/0af+=AQ "), max_size=60))
def test_any_text_for_a_key_is_read_alike(text: str):
    assert parse_pin(text) == moat_verify.parse_key(text)


def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Without site-packages and without anything of ours on the path."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(FILE), *arguments],
        input=stdin, capture_output=True, timeout=60, check=False, cwd="/",
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_it_runs_with_nothing_installed(tmp_path: Path):
    proof, key = tmp_path / "proof.json", tmp_path / "signing.pub"
    proof.write_bytes(Log().begin().write(3, line="\x1b[2J").close().json())
    key.write_text(PIN.hex() + "\n")
    code, out, err = run(str(proof), "--key", str(key))
    assert (code, err) == (0, "")
    assert out.endswith("VERDICT: INTACT\n")
    code, out, _ = run("-", "--key", b64(PIN), "--json", stdin=proof.read_bytes())
    assert (code, json.loads(out)["verdict"]) == (0, "INTACT")
    assert run(str(proof))[0] == 2
    proof.write_bytes(proof.read_bytes().replace(b'"seq": 2', b'"seq": 7'))
    code, out, _ = run(str(proof), "--key", PIN.hex())
    assert code == 1
    assert "VERDICT: TAMPERED at seq 2 (sequence gap: expected 2, got 7)" in out
    for arguments in ([], [str(tmp_path / "missing")], [str(key)], [str(proof), "--key", "nonsense"]):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert err


def test_it_is_for_python_3_9_and_shares_no_code_with_ours():
    tree = ast.parse(FILE.read_text(), feature_version=(3, 9))
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    froms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names | froms <= set(sys.stdlib_module_names)
