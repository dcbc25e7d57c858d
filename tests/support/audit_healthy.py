"""Logs, bundles and proofs that are as they should be; each with the verdict that is right."""

from __future__ import annotations

import json
from typing import Any

from support.audit_cases import FORGER, Cases, long_log, old_site, sealed_log
from support.audit_forge import Key, Log, Site, b64, closed, sha256
from support.audit_proofs import interrupted

HEALTHY = Cases()
healthy = HEALTHY.add

healthy("closed", "INTACT")(sealed_log)
healthy("closed, of many entries and two keys", "INTACT")(long_log)
healthy("one entry", "INTACT")(lambda: closed(1))
healthy("stopped", "INTACT")(lambda: Log().begin().write(3).close("stopped"))
healthy("failed", "INTACT")(lambda: Log().begin().write(3).close("failed"))
healthy("closed and empty", "INTACT")(lambda: Log().begin().close())
healthy("just begun", "OPEN")(lambda: Log().begin())
healthy("live", "OPEN")(lambda: Log().begin().write(5).seal())
healthy("live after a change of key", "OPEN")(lambda: Log().begin().write(5).rotate().write(3).seal())
healthy("sealed every entry", "INTACT")(lambda: _every_entry())
healthy("closed at a checkpoint's size", "INTACT")(lambda: Log().begin().write(256).seal().close())
healthy("interrupted", "INTACT")(lambda: Log().begin().write(5).seal().write(2).interrupt())
healthy("interrupted at a checkpoint", "INTACT")(lambda: Log().begin().write(5).seal().interrupt())
healthy("interrupted before anything was written", "INTACT")(lambda: Log().begin().interrupt())
healthy("interrupted with all that a later command may add", "INTACT")(
    lambda: Log().begin().write(256).seal().write(256).interrupt(own=256)
)
healthy("interrupted after a change of key", "INTACT")(lambda: interrupted())
healthy("an installation with later keys", "INTACT")(
    lambda: closed(10, old_site(), began="2026-01-12T09:00:00Z")
)
healthy("certified before the installation's newest key was made", "INTACT")(lambda: _certified_before())
healthy("interrupted, closed with a later key than it began with", "INTACT")(lambda: _closed_later())
healthy("without the attestation of version 1", "INTACT")(lambda: _without_attestation())
healthy("a line in the checkpoint that is not known", "INTACT")(lambda: _unknown_line())
healthy("a witness's signature on the close record", "INTACT")(lambda: _witnessed())
healthy("heads in the installation's log", "OPEN")(lambda: _with_head())
healthy("anchored", "INTACT")(lambda: {**sealed_log().bundle(), "anchors": [{"kind": "x", "body": ""}]})
healthy("printed with blanks", "INTACT")(lambda: json.dumps(sealed_log().bundle(), indent=2).encode())
healthy("compact", "INTACT")(lambda: json.dumps(sealed_log().bundle(), separators=(",", ":")).encode())
healthy("unknown keys, with numbers of all kinds", "INTACT")(
    lambda: {**sealed_log().bundle(), "later": {"x": [1.5, 10**30, -0.0, None]}}
)
healthy("without the installation's log", "INTACT")(lambda: _without_events())
healthy("version 1, signed", "INTACT")(lambda: Log(version=1).write(5).attest(Site().keys[0]))
healthy("version 1, of the Go tool, sorted by its exporter", "INTACT")(lambda: go_bundle(False))
healthy("version 1, of the Go tool, in declared order", "INTACT")(lambda: go_bundle(True))
healthy("proof of an entry", "INTACT", 0)(lambda: sealed_log().proof(5))
healthy("proof of all entries", "INTACT", 0)(lambda: sealed_log().proof(*range(1, 11)))
healthy("proof with a field kept back", "INTACT", 0)(lambda: _of_fields(("host", "é & <b>")))
healthy("proof with all fields kept back", "INTACT", 0)(lambda: _of_fields(("host", "action", "é & <b>")))
healthy("proof from a large log", "INTACT", 0)(lambda: long_log().proof(1, 256, 257, 768, 775))
healthy("proof from a live log", "OPEN", 0)(lambda: Log().begin().write(5).seal().proof(5))
healthy("proof from an interrupted log", "INTACT", 0)(lambda: interrupted().proof(7, 310, 321))

TEXTS = [
    "plain",
    "",
    "\0\x01\x08\t\n\x0b\x0c\r\x1b\x7f\x80\x9f",
    "é ä 漢字 \U0001f600 \U0010ffff \ufffd \ufeff \u200b\u202e",
    "<b> & \u2028 \u2029 \"quoted\" 'and' \\ / \\u0041",
    "e\u0301 \u00e9",
]


@healthy("text of all kinds", "INTACT")
def _() -> Log:
    log = Log().begin()
    for text in TEXTS:
        log.write(1, line=text)
        log.write(1, "exec", **{"command": [text, ""], "has_stdin": False, "exit_code": -1, text: None})
    return log.close()


@healthy("values of all kinds", "INTACT")
def _() -> Log:
    deep: Any = 0
    for _ in range(14):
        deep = [deep]
    values = [2**53, -(2**53), 0, True, False, None, [], {}, {"b": {"z": 1, "a": [None]}, "a": 2}, deep]
    log = Log().begin()
    for value in values:
        log.write(1, "network", value=value)
    return log.close()


def _every_entry() -> Log:
    log = Log().begin()
    for _ in range(9):
        log.write(1).seal()
    return log.close()


def _certified_before() -> Log:
    site = Site()
    log = closed(10, site)
    site.rotate("2026-01-12T09:59:59Z")
    return log


def _closed_later() -> Log:
    site = Site()
    log = Log(site=site).begin().write(5).seal().write(2)
    site.rotate("2026-01-13T00:00:00Z")
    site.rotate("2026-01-14T00:00:00Z")
    return log.interrupt()


def _without_attestation() -> Log:
    log = sealed_log()
    log.attestations.clear()
    return log


def _unknown_line() -> Log:
    log = Log().begin().write(3)
    log.seal("closed exited", "note to self")
    return log.attest(log.keys[0])


def _witnessed() -> Log:
    log = sealed_log()
    text = log.checkpoints[-1].split("\n\n")[0] + "\n"
    log.checkpoints[-1] += FORGER.line(text, "witness.example/w1")
    log.told.pop()
    return log


def _with_head() -> Log:
    log = Log().begin().write(4).seal().write(4).seal()
    head = log.site.event("head", "2026-01-12T10:00:10Z", run=log.run, note=log.checkpoints[0])
    log.told.append(head)
    return log


def _without_events() -> dict[str, Any]:
    bundle = sealed_log().bundle()
    del bundle["installation"]["checkpoint"], bundle["installation"]["events"]
    return bundle


def _of_fields(withheld: tuple[str, ...]) -> dict[str, Any]:
    log = Log().begin().write(1, "credential", **{"host": "a", "action": "intent", "é & <b>": ["\u2028"]})
    return log.close().proof(1, withheld=withheld)


def go_bundle(declared: bool) -> dict[str, Any]:
    """As the Go tool writes it: hashed in the order of its structs; its exporter then sorts."""
    data = {"name": "OPENAI_API_KEY", "backend": "op"}
    text = json.dumps(data, separators=(",", ":"))
    ts = "2026-01-12T10:00:00.123456Z"
    digest = sha256((1).to_bytes(8, "big") + f"{ts}secret{text}".encode()).hex()
    key = Key("site 0")
    entry = {
        "seq": 1,
        "ts": ts,
        "type": "secret",
        "prev": "",
        "data": data if declared else dict(sorted(data.items())),
        "hash": digest,
    }
    attestation = {
        "seq": 1,
        "root_hash": digest,
        "timestamp": ts,
        "signature": b64(key.private.sign(digest.encode())),
        "public_key": b64(key.public),
    }
    return {
        "version": 1,
        "created_at": ts,
        "last_hash": digest,
        "entries": [entry],
        "attestations": [attestation],
        "rekor_proofs": None,
    }
