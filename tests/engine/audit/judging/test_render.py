from __future__ import annotations

from engine.audit import Verdict, render_verdict, verdict_json

GOOD = Verdict(
    valid=True,
    hash_chain_valid=True,
    attestations_valid=True,
    entry_count=3,
    attestation_count=1,
    last_hash="a" * 64,
    closed=True,
    verdict="INTACT",
)
BAD = Verdict(
    valid=False,
    hash_chain_valid=False,
    attestations_valid=True,
    entry_count=3,
    error="sequence gap: expected 2, got 3",
    broken_at=2,
    expected="2",
    found="3",
)


def test_an_intact_log():
    lines = render_verdict(GOOD, "Audit of run_a1")
    assert lines[0] == "Audit of run_a1"
    sections = ["Log Integrity", "Local Signatures", "External Attestations (Sigstore/Rekor)"]
    assert [line for line in lines if line in sections] == sections
    assert lines[-1] == "VERDICT: [ok] INTACT — No tampering detected"
    assert lines[lines.index("Log Integrity") + 1].startswith("  [ok] Hash chain: 3 entries")
    assert lines[lines.index("Local Signatures") + 1].startswith("  [ok] 1 attestation,")
    assert lines[lines.index("External Attestations (Sigstore/Rekor)") + 1].startswith("  - ")


def test_a_broken_log_names_the_entry_and_what_differs():
    lines = render_verdict(BAD)
    assert lines[0] == "Log Integrity"
    assert lines[1] == "  [FAIL] Hash chain: broken at seq 2"
    assert "expected: 2" in lines[2]
    assert "found: 3" in lines[3]
    assert "  - No attestations" in lines
    assert lines[-1] == "VERDICT: [FAIL] TAMPERED — sequence gap: expected 2, got 3"


def test_a_bad_signature_is_said_in_its_section():
    verdict = Verdict(
        valid=False,
        hash_chain_valid=True,
        attestations_valid=False,
        attestation_count=1,
        entry_count=1,
        error="invalid signature on attestation at seq 1",
    )
    lines = render_verdict(verdict)
    assert "  [FAIL] invalid signature on attestation at seq 1" in lines
    assert lines[1].startswith("  [ok] Hash chain: 1 entry,")


def test_a_cancelled_check_is_not_called_tampering():
    verdict = Verdict(
        valid=False, hash_chain_valid=False, attestations_valid=False, error="cancelled", cancelled=True
    )
    assert "TAMPERED" not in "\n".join(render_verdict(verdict, "x"))


def test_json_has_gos_keys():
    found = verdict_json(BAD)
    assert list(found)[:8] == [
        "valid",
        "hash_chain_valid",
        "attestations_valid",
        "rekor_proofs_present",
        "entry_count",
        "attestation_count",
        "rekor_proof_count",
        "error",
    ]
    assert found["error"] == "sequence gap: expected 2, got 3"
    assert verdict_json(GOOD)["error"] == ""
