"""Uses of grants: what the runs wrote, and nothing broken by one that is damaged."""

from __future__ import annotations

import msgspec

from engine.events import GrantUse
from engine.home import Home
from engine.run.reading.uses import run_uses


def test_uses_by_run(tmp_path):
    home = Home(tmp_path / "home")
    assert run_uses(home) == {}
    use = GrantUse("2026-01-12T10:00:00Z", 7)
    home.write(home.run("run_a") / "usage.json", msgspec.json.encode({"github": use}))
    home.write(home.run("run_b") / "usage.json", b"{")
    home.write(home.run("run_c") / "usage.json", b"{}")
    home.write(home.run("run_d") / "metadata.json", b"{}")
    (home.runs / "run_e").symlink_to(tmp_path)
    (home.runs / "stray.txt").write_text("x")
    assert run_uses(home) == {"run_a": {"github": use}}
