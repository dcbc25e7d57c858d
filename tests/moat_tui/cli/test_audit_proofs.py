"""`audit verify`, `audit prove` and `audit verifier` on real files: what is printed, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.audit_cases import PIN, long_log, sealed_log
from support.audit_forge import Log, Site, b64, closed

import engine
from engine.run.reading.library import PUBLIC_KEY

RUN = "run_cccccccccccc"


@pytest.fixture
def proof(tmp_path):
    path = tmp_path / "proof.json"

    def write(made):
        path.write_text(json.dumps(made.bundle() if isinstance(made, Log) else made))
        return str(path)

    return write


@pytest.mark.parametrize("spelling", [PIN.hex(), b64(PIN), "file"])
def test_a_pinned_key_in_each_spelling(spelling, moat, proof, tmp_path, capsys):
    (tmp_path / "signing.pub").write_text(PIN.hex() + "\n")
    key = str(tmp_path / "signing.pub") if spelling == "file" else spelling
    assert moat("audit", "verify", proof(sealed_log()), "--key", key) == 0
    out = capsys.readouterr().out
    assert "VERDICT: [ok] INTACT — No tampering detected" in out
    assert f"the key {PIN.hex()} of {Site().origin}" in out
    assert "[ok] closed: exited" in out


def test_exit_codes_with_and_without_json(moat, proof, capsys):
    cut = sealed_log()
    del cut.entries[8:]
    live = Log().begin().write(3).seal()
    cases = [
        (sealed_log(), [], 0, "INTACT"),
        (live, [], 0, "OPEN"),
        (live, ["--finished"], 1, "TRUNCATED"),
        (cut, [], 1, "TRUNCATED"),
        (closed(3, Site("another")), [], 2, "UNANCHORED"),
        (sealed_log().proof(5), [], 0, "INTACT"),
    ]
    for made, options, code, word in cases:
        file = proof(made)
        assert moat("audit", "verify", file, "--key", PIN.hex(), *options) == code
        assert word in capsys.readouterr().out.splitlines()[-1 if code < 2 else -3]
        assert moat("audit", "verify", file, "--key", PIN.hex(), "--json", *options) == code
        found = json.loads(capsys.readouterr().out)
        assert (found["verdict"], found["valid"]) == (word, code == 0)


def test_without_a_key_only_this_installations_own_vouch(moat, proof, capsys):
    home = engine.Home.default()
    file = proof(sealed_log())
    assert moat("audit", "verify", file) == 2
    assert "--key FILE, a copy of its" in capsys.readouterr().out
    home.write(home.heads / PUBLIC_KEY, PIN.hex().encode() + b"\n")
    assert moat("audit", "verify", file) == 0
    assert moat("audit", "verify", proof(sealed_log().proof(5, withheld=("line",)))) == 0
    assert "    line: kept back" in capsys.readouterr().out
    assert moat("audit", "verify", proof(closed(3, Site("another")))) == 2


@pytest.mark.parametrize("key", ["nonsense", "00" * 32, "/dev/null", "01" + "00" * 31])
def test_what_is_no_key(key, moat, proof, capsys):
    assert moat("audit", "verify", proof(sealed_log()), "--key", key) == 2
    assert "neither a public key nor a file that holds one" in capsys.readouterr().err


def test_prove_one_entry(moat, put_run, tmp_path, capsys):
    home = engine.Home.default()
    put_run(RUN)
    log = long_log()
    log.database(home.run(RUN) / "audit.db")
    home.write(home.heads / PUBLIC_KEY, PIN.hex().encode() + b"\n")
    assert moat("audit", "prove", RUN, "500", "3", "--withhold", "line", "-o", "one.json") == 0
    assert moat("audit", "verify", "one.json") == 0
    out = capsys.readouterr().out
    assert "  seq 3  2026-01-12T10:00:03Z  console\n    line: kept back" in out
    assert moat("audit", "prove", RUN, "775") == 0
    assert json.loads(capsys.readouterr().out)["entries"][0]["data"]["line"]["value"] == "line 775"
    assert moat("audit", "prove", RUN, "776") == 125
    assert moat("audit", "prove", RUN) == 2
    assert moat("audit", "prove", RUN, "0") == 2


def test_the_verifier_that_is_printed_runs(moat, proof, tmp_path, capsys):
    assert moat("audit", "verifier") == 0
    script = tmp_path / "moat_verify.py"
    script.write_text(capsys.readouterr().out)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), proof(sealed_log()), "--key", PIN.hex()],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("VERDICT: INTACT\n")
