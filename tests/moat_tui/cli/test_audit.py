import hashlib
import os
import subprocess
from types import SimpleNamespace

import msgspec
import pytest

import engine

LATER = "run_bbbbbbbbbbbb"


@pytest.fixture
def verdicts(fake, put_run):
    """A log that is intact, a bundle that is not."""
    put_run(LATER)
    good = SimpleNamespace(valid=True, exit_code=0, text="[ok]")
    bad = SimpleNamespace(valid=False, exit_code=1, text="[FAIL] \x1b[2J")
    fake("verify_run", lambda home, run_id, progress: good)
    fake("verify_bundle", lambda home, data, pin, **options: good if data == b"bundle" else bad)
    fake("export_bundle", lambda home, run_id: b"bundle")
    fake("render_verdict", lambda verdict, title: [f"# {title}", verdict.text])
    fake("verdict_json", lambda verdict: {"valid": verdict.valid, "entry_count": 3, "error": ""})


def test_the_latest_runs_log(moat, verdicts, capsys):
    assert moat("audit") == 0
    assert capsys.readouterr().out == f"# Audit of swift-otter ({LATER})\n[ok]\n"


def test_json(moat, verdicts, capsys):
    assert moat("audit", "--json", "swift-otter") == 0
    assert msgspec.json.decode(capsys.readouterr().out) == {"valid": True, "entry_count": 3, "error": ""}


def test_what_is_not_intact_exits_1(moat, verdicts, tmp_path, capsys):
    (tmp_path / "proof.json").write_bytes(b"forged")
    assert moat("audit", "verify", "proof.json") == 1
    assert capsys.readouterr().out == "# Proof proof.json\n[FAIL] \\x1b[2J\n"
    assert moat("audit", "--json", "verify", "proof.json") == 1
    assert msgspec.json.decode(capsys.readouterr().out)["valid"] is False


def test_export_then_verify(moat, verdicts, tmp_path, capsys):
    assert moat("audit", "--export", "proof.json") == 0
    assert (tmp_path / "proof.json").read_bytes() == b"bundle"
    assert moat("audit", "verify", "proof.json") == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_export_to_stdout_is_the_bundle_alone(moat, verdicts, tmp_path, capsys):
    assert moat("audit", "--export", "-") == 0
    assert capsys.readouterr().out == "bundle"
    assert not (tmp_path / "-").exists()


def test_the_dossier_is_written_beside_the_verdict(moat, verdicts, fake, tmp_path, capsys):
    fake("write_dossier", lambda home, run, verdict: f"<p>{run.name} {verdict.text}")
    assert moat("audit", "--html", "dossier.html") == 0
    assert (tmp_path / "dossier.html").read_text() == "<p>swift-otter [ok]"
    out, err = capsys.readouterr()
    assert "[ok]" in out
    assert "dossier written to dossier.html" in err
    assert moat("audit", "--html", "-", "--export", "proof.json") == 2
    assert "nothing else is written" in capsys.readouterr().err
    assert moat("audit", "--html", "-") == 0
    assert capsys.readouterr().out == "<p>swift-otter [ok]"


def test_a_live_runs_log_is_said_to_go_on(moat, verdicts, put_run, capsys):
    put_run(LATER, state=engine.RunState.RUNNING, supervisor_pid=os.getpid())
    assert moat("audit", LATER) == 0
    assert "swift-otter is running: this is its log so far" in capsys.readouterr().err


def test_export_to_where_nothing_can_be_written(moat, verdicts, capsys):
    assert moat("audit", "--export", "no/such/place.json") == 125
    out, err = capsys.readouterr()
    assert out == ""
    assert "no/such/place.json could not be written: No such file or directory" in err


def test_export_into_a_full_device(moat, verdicts, capsys):
    assert moat("audit", "--export", "/dev/full") == 125
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["missing.json", "."])
def test_a_bundle_that_cannot_be_read(file, moat, verdicts, capsys):
    assert moat("audit", "verify", file) == 2
    assert capsys.readouterr().err.startswith(f"moat: error: {file}: ")


def test_a_file_without_end_is_refused_before_it_fills_the_memory(moat, verdicts, monkeypatch, capsys):
    monkeypatch.setattr("moat_tui.cli.audit_files.MOST_BYTES", 1 << 20)
    assert moat("audit", "verify", "/dev/zero") == 2
    assert "/dev/zero is larger than 1 MiB" in capsys.readouterr().err


def test_verify_without_a_file_is_a_usage_error(moat, verdicts, capsys):
    assert moat("audit", "verify") == 2
    assert "FILE" in capsys.readouterr().err


def test_a_run_called_verify_is_named_by_its_id(moat, verdicts, put_run, capsys):
    put_run(LATER, name="verify")
    assert moat("audit", LATER) == 0
    assert f"verify ({LATER})" in capsys.readouterr().out


def test_a_bundle_from_a_pipe(start):
    prelude = """
from types import SimpleNamespace
engine.verify_bundle = lambda home, data, pin, **options: SimpleNamespace(exit_code=int(data != b"bundle"))
engine.render_verdict = lambda verdict, title: [title]
"""
    process = start("audit", "verify", "-", prelude=prelude, stdin=subprocess.PIPE)
    assert process.communicate(b"bundle", timeout=20) == (b"Proof -\n", b"")
    assert process.returncode == 0


def chain(*lines: str) -> bytes:
    """A proof bundle of console entries, made from formats.md and not with our own code."""
    entries, prev = [], ""
    for seq, line in enumerate(lines, 1):
        ts = f"2026-01-12T10:00:{seq:02}Z"
        data = f'{{"line":"{line}"}}'
        digest = hashlib.sha256(seq.to_bytes(8, "big") + f"{ts}console{prev}{data}".encode()).hexdigest()
        entries.append(
            {"seq": seq, "ts": ts, "type": "console", "prev": prev, "data": {"line": line}, "hash": digest}
        )
        prev = digest
    return msgspec.json.encode({"version": 1, "created_at": ts, "last_hash": prev, "entries": entries})


def test_a_real_bundle_and_a_forged_one(moat, tmp_path, capsys):
    proof = tmp_path / "proof.json"
    proof.write_bytes(chain("1", "2", "3", "4", "5"))
    assert moat("audit", "verify", str(proof), "--json") == 2  # nothing in it is signed
    verdict = msgspec.json.decode(capsys.readouterr().out)
    assert (verdict["valid"], verdict["hash_chain_valid"], verdict["entry_count"]) == (False, True, 5)
    assert (verdict["attestations_valid"], verdict["verdict"]) == (True, "UNANCHORED")

    proof.write_bytes(proof.read_bytes().replace(b'{"line":"3"}', b'{"line":"9"}'))
    assert moat("audit", "verify", str(proof), "--json") == 1
    verdict = msgspec.json.decode(capsys.readouterr().out)
    assert verdict["error"] == "invalid hash at seq 3: entry tampered"
    assert moat("audit", "verify", str(proof)) == 1
    assert "VERDICT: [FAIL] TAMPERED — invalid hash at seq 3" in capsys.readouterr().out
