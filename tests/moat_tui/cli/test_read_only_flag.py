"""`--read-only` is for the screen only."""

from __future__ import annotations

from moat_tui.cli.main import main


def test_with_a_command_it_is_a_usage_error(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MOAT_HOME", str(tmp_path))
    assert main(["--read-only", "list"]) == 2
    assert "moat --read-only" in capsys.readouterr().err
