"""The corpus of damaged and forged logs, put to both verifiers, and as audit.db to the engine's."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from support.audit_attacks import ATTACKS
from support.audit_cases import PIN, UNREADABLE, Case, by_both, text_of
from support.audit_forge import Log, Site
from support.audit_forgeries import FORGERIES
from support.audit_healthy import HEALTHY
from support.audit_proofs import PROOFS
from support.audit_signatures import SIGNATURES

from engine.audit import installation_from, verify_log

CORPUS = [*ATTACKS, *SIGNATURES, *FORGERIES, *PROOFS]


def test_there_are_enough_of_them():
    assert len({case.name for case in CORPUS}) == len(CORPUS) >= 60
    assert len({case.name for case in HEALTHY}) == len(HEALTHY) >= 20


@pytest.mark.parametrize("case", HEALTHY, ids=lambda case: case.name)
def test_what_is_as_it_should_be_is_accepted(case: Case, tmp_path: Path):
    made = case.make()
    found = by_both(text_of(made), PIN, finished=case.verdict == "INTACT")
    assert (found["verdict"], found["valid"], found["error"]) == (case.verdict, True, ""), found
    assert by_both(text_of(made), None)["verdict"] == "UNANCHORED"
    assert by_both(text_of(made), Site("another").pin)["verdict"] == "UNANCHORED"
    if isinstance(made, Log):
        as_database(made, case, tmp_path)


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_an_attack_is_given_its_verdict(case: Case, tmp_path: Path):
    made = case.make()
    found = by_both(text_of(made), PIN, finished=case.finished)
    assert (found["verdict"], found["broken_at"]) == (case.verdict, case.at), found
    assert case.verdict == UNREADABLE or found["error"]
    if isinstance(made, Log):
        as_database(made, case, tmp_path)


def as_database(log: Log, case: Case, directory: Path) -> None:
    try:
        path = log.database(directory / "audit.db")
    except (UnicodeEncodeError, TypeError, AttributeError, IndexError):
        return  # not even SQLite, or the forger's own tree, takes it
    installation = None
    if log.version == 2:
        installation = msgspec.structs.replace(installation_from(log.site.part(*log.told)), key=PIN)
    verdict = verify_log(path, public_key=PIN, installation=installation, finished=case.finished)
    assert verdict.verdict == (case.own or case.verdict), verdict
    if not case.own:
        assert verdict.broken_at == case.at, verdict
