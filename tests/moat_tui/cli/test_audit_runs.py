from __future__ import annotations

import msgspec
import pytest

import engine
from moat_tui.cli import output


def told(**fields):
    runs = (
        engine.RunAudit("run_b2", "INTACT", True, "swift-otter", "exited", 12),
        engine.RunAudit("run_a1", "TRUNCATED", False, entries=3, why="its directory\x1b was removed"),
    )
    return engine.InstallationAudit(
        **({"runs": runs, "origin": "moat/ab", "events": 9, "signed": 7} | fields)
    )


def test_a_missing_run_is_a_line_and_exits_1(moat, fake, capsys):
    fake("audit_installation", lambda home, progress: told(keys=1, destroyed=2))
    assert moat("audit", "runs") == 1
    assert capsys.readouterr().out == (
        "Installation log: [ok] moat/ab: 9 events, its key replaced 1 time, the last 2 not signed yet,"
        " 2 runs destroyed\n"
        "NAME         ID      VERDICT    ENTRIES  WHY\n"
        "swift-otter  run_b2  INTACT          12  -\n"
        "-            run_a1  TRUNCATED        3  its directory\\x1b was removed\n"
    )


def test_on_a_terminal_the_reasons_stand_whole_under_the_list(moat, fake, capsys, monkeypatch):
    fake("audit_installation", lambda home, progress: told())
    monkeypatch.setattr(output, "terminal_width", lambda: 60)
    assert moat("audit", "runs") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "NAME         ID      VERDICT    ENTRIES"
    assert lines[-1] == "run_a1: its directory\\x1b was removed"


def test_all_well_exits_0(moat, fake, capsys):
    fake("audit_installation", lambda home, progress: told(runs=told().runs[:1]))
    assert moat("audit", "runs") == 0


def test_a_log_that_does_not_hold_exits_1(moat, fake, capsys):
    fake("audit_installation", lambda home, progress: told(runs=(), fault="event 3 is missing"))
    assert moat("audit", "runs") == 1
    assert capsys.readouterr().out == "Installation log: [FAIL] event 3 is missing\n"


@pytest.mark.parametrize("order", [("--json", "runs"), ("runs", "--json")])
def test_json(moat, fake, capsys, order):
    fake("audit_installation", lambda home, progress: told())
    assert moat("audit", *order) == 1
    page = msgspec.json.decode(capsys.readouterr().out)
    assert (page["well"], page["events"]) == (False, 9)
    assert page["runs"][1]["why"] == "its directory\x1b was removed"


def test_nothing_there_yet(moat, capsys):
    assert moat("audit", "runs") == 0
    said = capsys.readouterr()
    assert said.out == "Installation log: - none yet; the next run begins it\n"
    assert "there are no runs yet" in said.err
