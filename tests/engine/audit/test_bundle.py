from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audit import (
    AuditLog,
    Signer,
    canonical_json,
    console,
    entry_hash,
    export_bundle,
    render_verdict,
    verify_bundle,
)
from engine.errors import AuditError
from engine.home import Home

TS = "2026-01-12T10:00:00.123456Z"
GO_HASH = "a4aa873c0be4fcfc644167239893105d2a6104ed570b64d93a9d83e210eefa50"
GO_DATA = {"backend": "op", "name": "OPENAI_API_KEY"}  # its exporter sorts; the hash is over name, backend


def go_bundle(**changed: object) -> dict:
    entry = {"seq": 1, "ts": TS, "type": "secret", "prev": "", "data": GO_DATA, "hash": GO_HASH}
    return {"version": 1, "created_at": TS, "last_hash": GO_HASH, "entries": [{**entry, **changed}]}


def verify(bundle: dict, **options: object):
    return verify_bundle(json.dumps(bundle).encode(), **options)


def test_round_trip(written: Path, signer: Signer):
    data = export_bundle(written)
    assert [item.name for item in written.parent.iterdir()] == ["audit.db"]
    bundle = json.loads(data)
    assert list(bundle) == ["version", "created_at", "last_hash", "entries", "attestations"]
    assert list(bundle["entries"][0]) == ["seq", "ts", "type", "prev", "data", "hash"]
    assert list(bundle["attestations"][0]) == ["seq", "root_hash", "timestamp", "signature", "public_key"]
    verdict = verify_bundle(data, signer.public_key)
    assert (verdict.valid, verdict.entry_count, verdict.closed) == (True, 10, True)
    # What a reader sees that parses and prints again, sorted and as Go does, has the same hash.
    for entry in bundle["entries"]:
        text = canonical_json(entry["data"])
        assert entry_hash(entry["seq"], entry["ts"], entry["type"], entry["prev"], text) == entry["hash"]


def test_indented_and_with_unknown_keys(written: Path):
    bundle = json.loads(export_bundle(written))
    bundle["later"] = {"x": [1]}
    bundle["entries"][0]["later"] = True
    assert verify_bundle(json.dumps(bundle, indent=2, ensure_ascii=False).encode()).valid
    assert verify(bundle).valid


async def test_a_live_log_exports(home: Home, path: Path):
    async with await AuditLog.open(home, path) as log:
        await log.append(console("<b> & \u2028 é \x1b"))
        verdict = verify_bundle(export_bundle(path))
        assert (verdict.valid, verdict.entry_count, verdict.closed) == (True, 1, False)


def test_gos_own_bundle_with_declared_order_is_honest():
    assert verify(go_bundle()).valid
    assert not verify(go_bundle(data={"backend": "ssm", "name": "OPENAI_API_KEY"})).valid
    assert not verify(go_bundle(data={**GO_DATA, "more": 1})).valid


def test_changes_are_named(written: Path, signer: Signer):
    bundle = json.loads(export_bundle(written))

    def error(change: Callable[[dict], None]) -> str:
        copy = json.loads(json.dumps(bundle))
        change(copy)
        verdict = verify(copy, public_key=signer.public_key)
        assert not verdict.valid
        return verdict.error

    assert (
        error(lambda b: b["entries"][4]["data"].update(line="x")) == "invalid hash at seq 5: entry tampered"
    )
    assert error(lambda b: b["entries"].pop(2)) == "sequence gap: expected 3, got 4"
    assert error(lambda b: b["entries"].insert(2, b["entries"][1])) == "sequence gap: expected 3, got 2"
    assert error(lambda b: b["entries"][2].update(prev="")) == "broken chain at seq 3: prev_hash mismatch"
    assert error(lambda b: b["entries"].reverse()) == "sequence gap: expected 1, got 10"
    assert error(lambda b: b["entries"].pop()).startswith("last hash mismatch: expected ")
    assert error(lambda b: b.update(last_hash="0" * 64)).startswith("last hash mismatch: expected 000")
    assert error(lambda b: b.update(entries=[])).startswith("last hash mismatch")
    assert error(lambda b: b.update(entries=None)).startswith("last hash mismatch")
    assert (
        error(lambda b: b["attestations"][0].update(signature="AAAA"))
        == "invalid signature on attestation at seq 10"
    )
    bundle["attestations"][0].update(_resign(bundle))
    verdict = verify(bundle, public_key=signer.public_key)
    assert (verdict.verdict, verdict.exit_code) == ("UNANCHORED", 2)
    assert "another installation" in verdict.doubt


def _resign(bundle: dict) -> dict:
    import base64

    other = Signer.generate()
    return {
        "public_key": base64.b64encode(other.public_key).decode(),
        "signature": base64.b64encode(other.sign(bundle["last_hash"])).decode(),
    }


def test_a_number_respelled_as_float_is_tampering():
    data = {"method": "GET", "url": "u", "status_code": 200, "duration_ms": 1}
    text = canonical_json(data)
    digest = entry_hash(1, TS, "network", "", text)
    bundle = {**go_bundle(type="network", data=data, hash=digest), "last_hash": digest}
    assert verify(bundle).valid
    respelled = json.dumps(bundle).replace("200", "2e2")
    assert verify_bundle(respelled.encode()).error == "invalid hash at seq 1: entry tampered"


def test_an_empty_bundle_proves_nothing():
    empty = {"version": 1, "created_at": TS, "last_hash": "", "entries": []}
    assert verify(empty).error.startswith("the log has no entries")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"version":1,"version":1,"created_at":"","last_hash":"","entries":[]}',
        b'{"version":1,"created_at":"","last_hash":"","entries":[],"x":{"a":1,"a":2}}',
        b'{"version":1,"created_at":"","last_hash":"","entries":[],"x":NaN}',
        b'{"version":2,"created_at":"","last_hash":"","entries":[]}',
        b'{"version":"1","created_at":"","last_hash":"","entries":[]}',
        b'{"version":1,"created_at":"","last_hash":"","entries":{}}',
        b'{"version":1,"created_at":"","last_hash":"","entries":[{"seq":"1"}]}',
        b'{"version":1,"created_at":"","last_hash":"","entries":[],"attestations":[{"seq":1}]}',
    ],
)
def test_what_is_no_bundle_is_an_error_with_a_remedy(data: bytes):
    with pytest.raises(AuditError) as caught:
        verify_bundle(data)
    assert caught.value.remedy


def test_exporting_what_is_missing_or_no_log(written: Path, edit: Callable[..., None]):
    edit("UPDATE entries SET data = '{' WHERE seq = 2")
    with pytest.raises(AuditError, match="entry 2"):
        export_bundle(written)
    written.unlink()
    with pytest.raises(AuditError, match="missing"):
        export_bundle(written)


@settings(max_examples=60)
@given(st.data())
def test_no_single_byte_can_be_changed_into_another_story(data: st.DataObject):
    """Whatever a flipped byte makes of a bundle: refused, invalid, or the same entries as before."""
    whole = json.dumps(go_bundle()).encode()
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255))
    flipped = whole[:at] + bytes([byte]) + whole[at + 1 :]
    try:
        verdict = verify_bundle(flipped)
    except AuditError:
        return
    if verdict.valid:
        found, meant = json.loads(flipped), go_bundle()
        assert found["entries"] == meant["entries"]


def test_threat_36_a_bundle_signed_anew_by_somebody_else_says_by_whom(written: Path, signer: Signer):
    """Chain and signatures hold, so far from the installation only the key itself tells it apart."""
    honest = json.loads(export_bundle(written))
    forger = Signer.generate()
    forged, previous = json.loads(json.dumps(honest)), ""
    for entry in forged["entries"]:
        if entry["type"] == "console":
            entry["data"]["line"] = "nothing happened"
        entry["prev"] = previous
        parts = (entry["seq"], entry["ts"], entry["type"], previous, canonical_json(entry["data"]))
        entry["hash"] = previous = entry_hash(*parts)
    forged["last_hash"] = previous
    for attestation in forged["attestations"]:
        attestation["root_hash"] = forged["entries"][attestation["seq"] - 1]["hash"]
        attestation["signature"] = base64.b64encode(forger.sign(attestation["root_hash"])).decode()
        attestation["public_key"] = base64.b64encode(forger.public_key).decode()
    assert verify(honest).signers == (signer.public_key.hex(),)
    verdict = verify(forged)
    assert verdict.valid
    assert verdict.signers == (forger.public_key.hex(),)
    assert f"       by the key {forger.public_key.hex()}" in render_verdict(verdict)
    known = verify(forged, public_key=signer.public_key)
    assert known.verdict == "UNANCHORED"
    assert verify(honest, public_key=signer.public_key).verdict == "INTACT"
