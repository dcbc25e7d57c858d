"""The verifier inside a dossier gives every log of the corpus the verdict that the other two give it."""

from __future__ import annotations

import json
import random

import pytest
from support.audit_attacks import ATTACKS
from support.audit_cases import PIN, Case, by_itself, text_of
from support.audit_forge import Log, Site
from support.audit_forgeries import FORGERIES
from support.audit_healthy import HEALTHY
from support.audit_signatures import SIGNATURES
from support.page_verifier import by_page, run_script

CORPUS = [*ATTACKS, *SIGNATURES, *FORGERIES]


def is_bundle(case: Case) -> bool:
    return b'"moat_proof"' not in text_of(case.make())


@pytest.fixture(scope="module")
def bundles() -> list[tuple[Case, bytes]]:
    return [(case, text_of(case.make())) for case in CORPUS if is_bundle(case)]


def test_attacks_are_given_their_verdicts(bundles: list[tuple[Case, bytes]]):
    assert len(bundles) > 60
    found = by_page((data, PIN, case.finished) for case, data in bundles)
    wrong = {
        case.name: (case.verdict, case.at, said)
        for (case, _), said in zip(bundles, found, strict=True)
        if (said["verdict"], said["at"]) != (case.verdict, case.at)
    }
    assert wrong == {}


def test_healthy_logs_are_accepted_with_the_pinned_key_only():
    healthy = [(case, text_of(case.make())) for case in HEALTHY if is_bundle(case)]
    pinned = by_page((data, PIN, case.verdict == "INTACT") for case, data in healthy)
    assert {
        case.name: said
        for (case, _), said in zip(healthy, pinned, strict=True)
        if said["verdict"] != case.verdict
    } == {}
    for pin in (None, Site("another").pin):
        assert {said["verdict"] for said in by_page((data, pin, False) for _, data in healthy)} == {
            "UNANCHORED"
        }


def test_a_change_of_any_value_is_judged_as_the_standalone_verifier_judges_it():
    chance = random.Random(9162)
    whole = json.dumps(Log().begin().write(6).seal().rotate().write(3).close().bundle())
    cases = []
    for _ in range(400):
        at = chance.randrange(len(whole))
        new = chance.choice('0aZ=+ "\\,{}[]é\u202e') + chance.choice(("", whole[at]))
        cases.append(((whole[:at] + new + whole[at + 1 :]).encode(), PIN, False))
    for (data, pin, finished), said in zip(cases, by_page(cases), strict=True):
        other = by_itself(data, pin, finished=finished)
        assert (said["verdict"], said["at"]) == (other["verdict"], other["broken_at"]), (data, said, other)


def test_without_ed25519_it_says_so_and_vouches_for_nothing():
    driver = """
      Object.defineProperty(globalThis, "crypto", { value: {} });
      const moat = require(process.argv[1]);
      moat.verify(require("fs").readFileSync(0, "utf8"), new Uint8Array(32))
        .then((found) => console.log(JSON.stringify(found)));
    """
    found = json.loads(run_script(driver, json.dumps(Log().begin().write(3).close().bundle())))
    assert (found["verdict"], found["canSign"]) == ("UNANCHORED", False)
    assert "cannot verify Ed25519" in found["error"]


def test_its_hashes_are_the_standards():
    driver = """
      const moat = require(process.argv[1]), crypto = require("crypto");
      const theirs = (name, data, options) => crypto.createHash(name, options).update(data).digest("hex");
      for (let size = 0; size < 400; size++) {
        const data = Uint8Array.from({ length: size }, (_, i) => (i * 7 + size) & 255);
        if (moat.hex(moat.sha256(data)) !== theirs("sha256", data)) throw size;
        for (const outputLength of size < 136 ? [16, 136, 137, 400] : [])
          if (moat.hex(moat.shake256(data, outputLength))
              !== theirs("shake256", data, { outputLength })) throw size;
      }
      console.log("same");
    """
    assert run_script(driver) == "same\n"
