"""A verdict as text for a terminal and as the JSON that scripts written for the Go Moat read."""

from __future__ import annotations

from engine.audit.verdict import Verdict

_RULE = "─" * 63


def render_verdict(verdict: Verdict, title: str = "") -> list[str]:
    """Plain lines, without colour or markup. title: what was verified, e.g. "Audit of run_1a2b3c"."""
    if verdict.cancelled:
        return [*_heading(title), f"VERDICT: - not verified: cancelled after {verdict.entry_count} entries"]
    return [
        *_heading(title),
        "Log Integrity",
        *(f"  {line}" for line in _chain(verdict)),
        "",
        "Local Signatures",
        f"  {_signatures(verdict)}",
        *(f"       by the key {key}" for key in verdict.signers),
        "",
        "External Attestations (Sigstore/Rekor)",
        f"  {_rekor(verdict)}",
        "",
        _RULE,
        "VERDICT: [ok] INTACT — No tampering detected"
        if verdict.valid
        else f"VERDICT: [FAIL] TAMPERED — {verdict.error}",
    ]


def verdict_json(verdict: Verdict) -> dict[str, object]:
    """Go's keys (`error` always there, "" when valid), then ours."""
    return {
        "valid": verdict.valid,
        "hash_chain_valid": verdict.hash_chain_valid,
        "attestations_valid": verdict.attestations_valid,
        "rekor_proofs_present": verdict.rekor_proof_count > 0,
        "entry_count": verdict.entry_count,
        "attestation_count": verdict.attestation_count,
        "rekor_proof_count": verdict.rekor_proof_count,
        "error": verdict.error,
        "broken_at": verdict.broken_at,
        "closed": verdict.closed,
        "last_hash": verdict.last_hash,
        "signers": list(verdict.signers),
    }


def _heading(title: str) -> list[str]:
    return [title, _RULE, ""] if title else []


def _chain(verdict: Verdict) -> list[str]:
    if verdict.hash_chain_valid:
        return [
            f"[ok] Hash chain: {_count(verdict.entry_count, 'entry', 'entries')}, none missing, none altered"
        ]
    where = f" at seq {verdict.broken_at}" if verdict.broken_at else ""
    lines = [f"[FAIL] Hash chain: broken{where}"]
    lines += [f"       {name}: {value}" for name, value in _difference(verdict) if value]
    return lines


def _signatures(verdict: Verdict) -> str:
    if not verdict.attestations_valid:
        return "[FAIL] " + (verdict.error if verdict.hash_chain_valid else "Attestations: not valid")
    if not verdict.attestation_count:
        return "- No attestations"
    count = _count(verdict.attestation_count, "attestation", "attestations")
    reach = "the last entry is signed" if verdict.closed else "entries after the last one are not signed yet"
    return f"[ok] {count}, all signatures valid; {reach}"


def _rekor(verdict: Verdict) -> str:
    if not verdict.rekor_proof_count:
        return "- No Rekor proofs"
    return f"- {_count(verdict.rekor_proof_count, 'Rekor proof', 'Rekor proofs')}, not verified (offline)"


def _difference(verdict: Verdict) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("expected", verdict.expected), ("found", verdict.found)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
