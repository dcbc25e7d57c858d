"""`moat witness`: what is set up, what a push says, and a witness of our own that is asked by it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

import engine
from engine.audit import AuditLog, console
from engine.credentials import KeySource
from engine.heads import RunHeads, begin_run

KEYS_IN_FILE = {"MOAT_KEYRING_BACKEND": "file"}


@pytest.fixture
def begun(home: engine.Home, monkeypatch: pytest.MonkeyPatch) -> engine.Home:
    """An installation that has had a run."""
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")
    begin_run(home, KeySource(home), "run_aaaaaaaaaaaa")
    return home


def set_up(home: engine.Home, text: str) -> None:
    home.write(home.config_file, text.encode())


def test_nothing_is_set_up(moat, home, capsys):
    assert moat("witness", "status") == 0
    assert "nothing is set up" in capsys.readouterr().err
    assert moat("witness", "key") == 125
    assert "no log yet" in capsys.readouterr().err


def test_a_directory_gets_the_head_and_says_so(moat, begun, tmp_path, capsys):
    stick = tmp_path / "stick"
    set_up(begun, f"audit: {{witnesses: ['{stick}']}}\n")
    assert moat("witness", "push") == 1
    assert "is not there" in capsys.readouterr().out
    stick.mkdir()
    assert moat("witness", "push") == 0
    assert capsys.readouterr().out.startswith(f"[ok] directory {stick}: ")
    assert moat("witness", "status", "--json") == 0
    (state,) = json.loads(capsys.readouterr().out)
    assert (state["anchored"]["size"] > 0, state["due"]) == (True, False)
    begin_run(begun, KeySource(begun), "run_bbbbbbbbbbbb")
    assert moat("witness", "status") == 0
    assert capsys.readouterr().out.startswith("- directory")


def test_a_log_restored_from_a_copy_is_named(moat, begun, tmp_path, capsys):
    (tmp_path / "stick").mkdir()
    set_up(begun, f"audit: {{witnesses: ['{tmp_path / 'stick'}']}}\n")
    copies = {path: path.read_bytes() for path in begun.heads.iterdir() if path.is_file()}
    begin_run(begun, KeySource(begun), "run_bbbbbbbbbbbb")
    assert moat("witness", "push") == 0
    for path in begun.heads.iterdir():
        if path.name.startswith("heads.db"):
            path.unlink()
    for path, data in copies.items():
        path.write_bytes(data)
    assert moat("witness", "push") == 1
    assert "[FAIL] directory" in capsys.readouterr().out
    assert moat("witness", "status") == 1


@pytest.fixture
def served(moat, begun, tmp_path, capsys) -> Iterator[tuple[str, str]]:
    """The URL and key of a witness for the log of `begun`, in a process and a home of its own."""
    assert moat("witness", "key") == 0
    log = capsys.readouterr().out.strip()
    process = subprocess.Popen(
        [sys.executable, "-m", "moat_tui", "witness", "serve", "--log", log, "--listen", "127.0.0.1:0"],
        env={"PATH": "/usr/bin:/bin", "MOAT_HOME": str(tmp_path / "other"), **KEYS_IN_FILE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        key = process.stdout.readline().strip()
        said = next(line for line in process.stderr if " at http" in line)
        yield said.partition(" at ")[2].partition(";")[0], key
        process.terminate()
        assert process.wait(10) == 0


def test_a_witness_of_ones_own(moat, begun, served, tmp_path, capsys):
    url, key = served
    set_up(begun, f"audit:\n  witnesses:\n    - {{url: '{url}', key: '{key}'}}\n")
    assert moat("witness", "push") == 0
    assert "[ok] witness" in capsys.readouterr().out
    begin_run(begun, KeySource(begun), "run_bbbbbbbbbbbb")
    assert moat("witness", "push") == 0
    kept = list((tmp_path / "other" / "witness" / "heads").iterdir())
    assert len(kept) == 1


def finish_run(home: engine.Home, run_id: str) -> None:
    """A run's whole log, with two entries, and its place in the installation's."""

    async def write() -> None:
        keys, path = KeySource(home), home.run(run_id) / "audit.db"
        home.ensure_dir(path.parent)
        heads = RunHeads(home, keys, run_id, lambda text: None)
        async with await AuditLog.open(home, path, keys=heads.begin(), on_checkpoint=heads.tell) as log:
            await log.append(console("one"))
            await log.append(console("two"))
            await log.close("exited")
        heads.close()

    asyncio.run(write())


def test_a_bundle_carries_what_others_said(moat, begun, served, put_run, tmp_path, capsys):
    url, key = served
    (tmp_path / "stick").mkdir()
    places = f"[{tmp_path / 'stick'}, {{url: '{url}', key: '{key}'}}]"
    set_up(begun, f"audit: {{witnesses: {places}}}\n")
    finish_run(begun, "run_bbbbbbbbbbbb")
    put_run("run_bbbbbbbbbbbb", state=engine.RunState.EXITED)
    assert moat("witness", "push") == 0
    assert moat("audit", "--export", str(tmp_path / "proof.json")) == 0
    said = capsys.readouterr().out
    assert f"directory {tmp_path / 'stick'}: the first" in said
    assert "no anchor" not in said
    assert moat("audit", "verify", str(tmp_path / "proof.json")) == 0  # its own config.yaml names the key
    assert "cosigned by moat-witness at" in capsys.readouterr().out
    pin = (begun.heads / "signing.pub").read_text().strip()
    elsewhere = ("audit", "verify", str(tmp_path / "proof.json"), "--key", pin)
    set_up(begun, "")
    assert moat(*elsewhere) == 0
    assert "its key was not given" in capsys.readouterr().out
    assert moat(*elsewhere, "--witness", key) == 0
    assert "cosigned by moat-witness at" in capsys.readouterr().out
    assert moat(*elsewhere, "--witness", "nonsense") == 2
    assert "--witness" in capsys.readouterr().err
    assert moat("audit", "verifier") == 0
    (tmp_path / "verify.py").write_text(capsys.readouterr().out)
    alone = [sys.executable, "-I", tmp_path / "verify.py", tmp_path / "proof.json", "--key", pin]
    done = subprocess.run([*alone, "--witness", key], capture_output=True, text=True, check=True)
    assert "cosigned by moat-witness at" in done.stdout
    assert "VERDICT: INTACT" in done.stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "there are: key, push, serve, status\n"),
        (("serve",), "--log"),
        (("serve", "--log", "nonsense"), "verifier key"),
        (("serve", "--log", "x", "--listen", "nowhere"), "HOST:PORT"),
    ],
)
def test_usage(moat, home: engine.Home, words: tuple[str, ...], why: str, capsys, monkeypatch):
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")
    assert moat("witness", *words) == 2
    assert why in capsys.readouterr().err


def test_a_key_of_another_kind_is_named(moat, begun: engine.Home, capsys):
    assert moat("witness", "key") == 0
    log = capsys.readouterr().out.strip()
    set_up(begun, f"audit:\n  witnesses:\n    - {{url: 'https://w.test', key: '{log}'}}\n")
    assert moat("witness", "status") == 125
    assert "another kind" in capsys.readouterr().err
