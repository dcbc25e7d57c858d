"""A verdict as text for a terminal and as the JSON that scripts written for the Go Moat read."""

from __future__ import annotations

from engine.audit.judging.verdict import INTACT, OPEN, UNANCHORED, Verdict

_RULE = "─" * 63


def render_verdict(verdict: Verdict, title: str = "") -> list[str]:
    """Plain lines, without colour or markup. title: what was verified, e.g. "Audit of run_1a2b3c"."""
    if verdict.cancelled:
        return [*_heading(title), f"VERDICT: - not verified: cancelled after {verdict.entry_count} entries"]
    return [
        *_heading(title),
        *(_of_log(verdict) if not verdict.shown else _of_proof(verdict)),
        *(["Rests on", *(f"  - {line}" for line in verdict.rests_on), ""] if verdict.rests_on else []),
        _RULE,
        *_conclusion(verdict),
    ]


def _of_log(verdict: Verdict) -> list[str]:
    tree = ["Merkle Tree", *(f"  {line}" for line in _tree(verdict)), ""]
    return [
        "Log Integrity",
        *(f"  {line}" for line in _chain(verdict)),
        "",
        *(tree if verdict.tree_valid is not None else []),
        "Local Signatures",
        f"  {_signatures(verdict)}",
        *(f"       by the key {key}" for key in verdict.signers),
        "",
        "External Attestations (Sigstore/Rekor)",
        f"  {_rekor(verdict)}",
        "",
    ]


def _of_proof(verdict: Verdict) -> list[str]:
    return ["Entries", *(f"  {line}" for line in verdict.shown), ""]


def _tree(verdict: Verdict) -> list[str]:
    if not verdict.tree_valid:
        what = verdict.error if verdict.hash_chain_valid and verdict.attestations_valid else "not verified"
        return [f"[FAIL] {what}"]
    checkpoints = _count(verdict.checkpoint_count, "checkpoint", "checkpoints")
    keys = _count(verdict.key_count, "key", "keys")
    lines = [f"[ok] {checkpoints} up to seq {verdict.sealed_to}, signed with {keys} of the run"]
    if verdict.sealed_by_run_to < verdict.sealed_to:
        lines.append(
            f"- the run itself sealed up to seq {verdict.sealed_by_run_to}, a later command the rest"
        )
    if verdict.closed_as:
        lines.append(f"[ok] closed: {verdict.closed_as}")
    else:
        lines.append("- not closed")
    return lines


def _conclusion(verdict: Verdict) -> list[str]:
    if verdict.verdict == INTACT:
        return ["VERDICT: [ok] INTACT — No tampering detected"]
    if verdict.verdict == OPEN:
        return ["VERDICT: [ok] OPEN — No tampering detected so far; the log was not closed when it was read"]
    if verdict.verdict == UNANCHORED:
        return [
            f"VERDICT: [?] UNANCHORED — Nothing in it contradicts itself, but {verdict.doubt}",
            "  Pin the key of the installation that it is said to be from: --key FILE, a copy of its",
            "  heads/signing.pub that reached you another way than this.",
        ]
    where = [f"First seq that is not what was written: {verdict.broken_at}"] if verdict.broken_at else []
    return [*where, f"VERDICT: [FAIL] {verdict.verdict} — {verdict.error}"]


def verdict_json(verdict: Verdict) -> dict[str, object]:
    """Go's keys (`error` always there, "" when valid), then ours. Here `valid` is that the exit code is 0."""
    return {
        "valid": verdict.exit_code == 0,
        "hash_chain_valid": verdict.hash_chain_valid,
        "attestations_valid": verdict.attestations_valid,
        "rekor_proofs_present": verdict.rekor_proof_count > 0,
        "entry_count": verdict.entry_count,
        "attestation_count": verdict.attestation_count,
        "rekor_proof_count": verdict.rekor_proof_count,
        "error": verdict.error or verdict.doubt,
        "broken_at": verdict.broken_at,
        "closed": verdict.closed,
        "last_hash": verdict.last_hash,
        "signers": list(verdict.signers),
        "verdict": verdict.verdict,
        "origin": verdict.origin,
        "tree_valid": verdict.tree_valid,
        "checkpoint_count": verdict.checkpoint_count,
        "key_count": verdict.key_count,
        "anchor_count": verdict.anchor_count,
        "sealed_to": verdict.sealed_to,
        "sealed_by_run_to": verdict.sealed_by_run_to,
        "closed_as": verdict.closed_as,
        "rests_on": list(verdict.rests_on),
        "shown": list(verdict.shown),
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
