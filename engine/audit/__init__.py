"""The audit room: what was done in a run, in an order and wording nobody can change unnoticed.

    canonical, types   what an entry is          chain     the hash chain, pure
    log, writer        many askers, one writer   verify    a file, from the chain to the verdict
    store, lock, gate  audit.db for the writer   bundle    the same in one JSON document; bundle_read
    finish, held       what a dead writer left   proof     single entries out of it
    source, read,      audit.db for readers      judging/  whose keys count, and the verdict
    pages, tree_rows
    merkle, leaf, tree the tree beside it        note, checkpoint, keys   what is signed, and by whom
    sealer, run_keys   how a live run signs it   teller    who is told of it

standalone/moat_verify.py verifies the same with nothing but the standard library, and shares no code.

FORMAT.md is what a verifier written by somebody else needs to know.

Names load on first use: a viewer that only shows a Verdict pays for neither sqlite3 nor cryptography.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import exports

if TYPE_CHECKING:
    from engine.audit.bundle import export_bundle as export_bundle
    from engine.audit.bundle import verify_bundle as verify_bundle
    from engine.audit.canonical import Entry as Entry
    from engine.audit.canonical import canonical_json as canonical_json
    from engine.audit.canonical import entry_hash as entry_hash
    from engine.audit.chain import Attestation as Attestation
    from engine.audit.chain import ChainChecker as ChainChecker
    from engine.audit.finish import append_and_close as append_and_close
    from engine.audit.held import RecordedHead as RecordedHead
    from engine.audit.judging.evidence import Installation as Installation
    from engine.audit.judging.evidence import Recorded as Recorded
    from engine.audit.judging.evidence import installation_from as installation_from
    from engine.audit.judging.pins import read_pin as read_pin
    from engine.audit.judging.render import render_verdict as render_verdict
    from engine.audit.judging.render import verdict_json as verdict_json
    from engine.audit.judging.verdict import Verdict as Verdict
    from engine.audit.judging.verdict import contradicted as contradicted
    from engine.audit.log import AuditLog as AuditLog
    from engine.audit.pages import AuditCounts as AuditCounts
    from engine.audit.pages import AuditPages as AuditPages
    from engine.audit.pages import count_entries as count_entries
    from engine.audit.pages import find_pages as find_pages
    from engine.audit.pages import place_of as place_of
    from engine.audit.proof import prove_entries as prove_entries
    from engine.audit.read import read_entries as read_entries
    from engine.audit.read import read_newest as read_newest
    from engine.audit.run_keys import RunKeys as RunKeys
    from engine.audit.signer import Signer as Signer
    from engine.audit.types import ENTRY_TYPES as ENTRY_TYPES
    from engine.audit.types import EntryData as EntryData
    from engine.audit.types import console as console
    from engine.audit.types import container as container
    from engine.audit.types import credential as credential
    from engine.audit.types import exec as exec
    from engine.audit.types import network as network
    from engine.audit.types import policy as policy
    from engine.audit.types import secret as secret
    from engine.audit.types import ssh as ssh
    from engine.audit.verify import verify_log as verify_log

_HOMES = {
    ".bundle": ("export_bundle", "verify_bundle"),
    ".canonical": ("Entry", "canonical_json", "entry_hash"),
    ".chain": ("Attestation", "ChainChecker"),
    ".judging.evidence": ("Installation", "Recorded", "installation_from"),
    ".finish": ("append_and_close",),
    ".held": ("RecordedHead",),
    ".log": ("AuditLog",),
    ".pages": ("AuditCounts", "AuditPages", "count_entries", "find_pages", "place_of"),
    ".judging.pins": ("read_pin",),
    ".proof": ("prove_entries",),
    ".read": ("read_entries", "read_newest"),
    ".judging.render": ("render_verdict", "verdict_json"),
    ".run_keys": ("RunKeys",),
    ".signer": ("Signer",),
    ".types": (
        "ENTRY_TYPES", "EntryData", "console", "container", "credential", "exec", "network", "policy",
        "secret", "ssh",
    ),
    ".judging.verdict": ("Verdict", "contradicted"),
    ".verify": ("verify_log",),
}  # fmt: skip
__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = exports(__name__, _HOMES)
