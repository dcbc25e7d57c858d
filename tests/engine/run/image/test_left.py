"""Which images stay: what the latest run of each workspace was made of, and what live runs have."""

from __future__ import annotations

from engine.events import RunInfo
from engine.run.image.left import needed_layers


def run(number: int, workspace: str, *layers: str) -> RunInfo:
    return RunInfo(f"run_{number}", f"r{number}", "2026-01-01T00:00:00Z", workspace=workspace, layers=layers)


RUNS = [
    run(5, "/a"),
    run(4, "/b", "m:b2", "m:b3"),
    run(3, "/a", "m:a1"),
    run(2, "/b", "m:b1"),
    run(1, "/a", "m:a0"),
]


def test_only_the_latest_of_each_workspace_counts():
    assert needed_layers(RUNS, lambda run_id: False) == {"m:b2", "m:b3"}
    assert needed_layers(RUNS[1:], lambda run_id: False) == {"m:b2", "m:b3", "m:a1"}


def test_a_live_run_keeps_what_it_has():
    assert needed_layers(RUNS, lambda run_id: run_id == "run_1") == {"m:b2", "m:b3", "m:a0"}
