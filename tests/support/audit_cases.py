"""What the tables of attacks and of healthy logs are made of, and how one case is put to the verifiers."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from support.audit_forge import Key, Log, Site, closed

from engine.audit import verdict_json, verify_bundle
from engine.audit.standalone import moat_verify
from engine.audit.strict_json import go_escaped
from engine.errors import AuditError

UNREADABLE = "UNREADABLE"
PIN = Site().pin


@dataclass
class Case:
    """make: a Log (as a bundle, and as audit.db), or a document or bytes. at: the seq to be named, 0: none.

    own: the verdict on it as audit.db, where that differs (there another's key is no doubt but a fault).
    """

    name: str
    verdict: str
    at: int
    make: Callable[[], Log | dict[str, Any] | bytes]
    finished: bool = False
    own: str = ""


class Cases(list[Case]):
    def add(self, name: str, verdict: str, at: int = 0, **more: Any) -> Callable[[Callable], Callable]:
        def keep(make: Callable) -> Callable:
            self.append(Case(name, verdict, at, make, **more))
            return make

        return keep


def text_of(made: Log | dict[str, Any] | bytes) -> bytes:
    if isinstance(made, bytes):
        return made
    document = made.bundle() if isinstance(made, Log) else made
    try:  # in the one compact form, which the engine reads in another way than any other
        return go_escaped(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:
        return json.dumps(document).encode()


def by_engine(data: bytes, pin: bytes | None, *, finished: bool = False) -> dict[str, Any]:
    try:
        return verdict_json(verify_bundle(data, pin, finished=finished))
    except AuditError:
        return {"verdict": UNREADABLE, "broken_at": 0}


def by_itself(data: bytes, pin: bytes | None, *, finished: bool = False) -> dict[str, Any]:
    """As moat_verify.py sees it."""
    try:
        return moat_verify.verify(data, pin, finished)
    except moat_verify.Unreadable:
        return {"verdict": UNREADABLE, "broken_at": 0}


def by_both(data: bytes, pin: bytes | None, *, finished: bool = False) -> dict[str, Any]:
    """What both say, to the last word."""
    one, other = by_engine(data, pin, finished=finished), by_itself(data, pin, finished=finished)
    assert one == other
    return one


def sealed_log() -> Log:
    """Ten entries with checkpoints at 4, 8 and 10, closed."""
    return Log().begin().write(4).seal().write(4).seal().write(2).close()


@functools.cache
def _long() -> Log:
    log = Log().begin()
    for _ in range(3):
        log.write(256).seal()
    return log.rotate().write(7).close()


def long_log() -> Log:
    """775 entries, checkpoints every 256, another key from 768 on, closed."""
    return copy.deepcopy(_long())


def old_site() -> Site:
    """An installation whose key was replaced on the 11th and the 12th of January."""
    site = Site()
    site.rotate("2026-01-11T00:00:00Z")
    site.rotate("2026-01-12T00:00:00Z")
    return site


def forged(log: Log, at: int = 6) -> Log:
    """One entry changed, and the chain hashed anew from there: what only signatures can tell."""
    log.entries[at - 1]["data"] = {"line": "nothing happened"}
    return log.chain(at)


FORGER = Key("forger")

__all__ = ["FORGER", "PIN", "UNREADABLE", "Case", "Cases", "Key", "Log", "Site", "by_both", "closed"]
