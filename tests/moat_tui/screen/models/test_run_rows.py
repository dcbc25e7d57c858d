"""What the line under the list says of a run."""

from __future__ import annotations

import msgspec

from engine import RunInfo
from moat_tui.screen.models.run_rows import about


def test_a_run_is_told_with_what_runs_beside_it():
    run = RunInfo(
        "run_1", "otter", "2026-01-12T10:00:00Z", workspace="/home/ann/w", command=("npm", "test"),
        sandbox="gvisor", policy="strict", services={"redis": "redis:7", "postgres": "evil\x1b[2J:1"},
    )  # fmt: skip
    ((text, style),) = about(run, "/home/ann")
    assert text == "~/w  ·  npm test  ·  strict network  ·  docker gvisor  ·  with redis, postgres"
    assert style == "dim"
    lost = msgspec.structs.replace(run, lost=("redis ended with exit code 137\x1b[2J",))
    assert about(lost, "/home/ann") == [
        ("✗ redis ended with exit code 137␛[2J  ·  ", "bad"), (text, style),
    ]  # fmt: skip
