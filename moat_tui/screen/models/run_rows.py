"""One run as a row of cells, and as the line under the list that says what it is."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from moat_tui.screen.models.activity import BUCKETS
from moat_tui.screen.models.moments import age, count, lasted
from moat_tui.screen.models.narrowing import in_short
from moat_tui.screen.models.pieces import PLAIN, Piece, shorten_path
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import RunInfo

TITLES = ("Name", "State", "Age", "Ran", "Reqs", "Last 3 min", "Runtime", "Grants")
_STATES = {
    "starting": ("◌ starting", "info"),
    "running": ("● running", "ok"),
    "stopping": ("◍ stopping", "warn"),
    "stopped": ("■ stopped", "dim"),
    "failed": ("✗ failed", "bad"),
    "interrupted": ("! interrupted", "bad"),
}
_STATE, _AGE, _RAN, _REQUESTS, _RUNTIME = 13, 4, 6, 6, 15
_NARROW, _ROOMY = 72, 100  # below the first there is no graph, below the second no runtime


def widths(total: int) -> tuple[int, ...]:
    """Column widths for `total` columns of which each cell takes two as padding; 0 leaves a column out."""
    graph = BUCKETS if total >= _NARROW else 0
    runtime = _RUNTIME if total >= _ROOMY else 0
    fixed = (_STATE, _AGE, _RAN, _REQUESTS, graph, runtime)
    padding = 2 * (2 + sum(1 for width in fixed if width))
    rest = max(16, total - padding - sum(fixed))
    name = min(32, rest * 3 // 5)
    return (name, *fixed, rest - name)


def run_cells(
    run: RunInfo, requests: int | None, now: datetime, graph: str = "", *, waiting: int = 0
) -> tuple[Piece, ...]:
    """A cell for each of TITLES. requests: None while they are still being counted. waiting: requests that
    a person has to answer."""
    return (
        (visible(run.name), "strong"),
        (f"⚑ {waiting} waiting", "warn")
        if waiting and not run.state.ended and not run.frozen
        else state_piece(run),
        (age(run.created_at, now), PLAIN),
        (ran(run, now), PLAIN),
        ("…" if requests is None else count(requests), PLAIN),
        (graph, "info"),
        (visible(f"{run.runtime} {run.sandbox}".strip()), PLAIN),
        (visible(in_short(run.grants)) or "-", PLAIN if run.grants else "dim"),
    )


def ran(run: RunInfo, now: datetime) -> str:
    """How long the agent ran, or has run; `-` when it never did."""
    never = not run.started_at and run.state in ("starting", "failed")
    return "-" if never else lasted(run.started_at or run.created_at, run.ended_at, now)


def state_piece(run: RunInfo) -> Piece:
    if run.frozen and not run.state.ended:
        return "✗ FROZEN", "bad"
    if run.state == "exited":
        code = run.exit_code
        if code is None or code == 0:
            return "✓ exited 0" if code == 0 else "✓ exited", "ok"
        return f"✗ exited {code}", "warn"
    return _STATES.get(run.state, (f"? {run.state}", "warn"))


def about(run: RunInfo, home: str) -> list[Piece]:
    """Where it works, what it runs, what it may reach; instead its error, or why its network is frozen."""
    if run.error:
        return [("✗ ", "bad"), (visible(run.error), "bad")]
    if run.frozen:
        return [("✗ network frozen: ", "bad"), (visible(run.frozen), "bad")]
    parts = [shorten_path(visible(run.repository or run.workspace), home, 40)]
    if run.worktree:
        parts.append(f"worktree {visible(run.worktree)}")
    if not run.state.ended:
        parts += [f"{visible(port.name)} {visible(port.url)}" for port in run.ports]
    if run.command:
        parts.append(visible(shlex.join(run.command)))
    parts.append(f"{visible(run.policy)} network")
    parts.append(visible(f"{run.runtime} {run.sandbox}".strip()))
    if run.services:
        parts.append("with " + visible(", ".join(run.services)))
    if run.profile:
        parts.append(f"profile {visible(run.profile)}")
    if run.keep:
        parts.append("container kept")
    given = [(f"! docker:{visible(run.docker)}  ·  ", "bad")] if run.docker else []
    lost = [(f"✗ {visible('; '.join(run.lost))}  ·  ", "bad")] if run.lost else []
    return [*given, *lost, ("  ·  ".join(part for part in parts if part), "dim")]


def freeze_alarm(runs: Iterable[RunInfo]) -> str:
    """The words for the head of the screen when the network of a live run is frozen; else empty."""
    names = [visible(run.name) for run in runs if run.frozen and not run.state.ended]
    if not names:
        return ""
    return f"✗ NETWORK FROZEN: {names[0]}" + (f" and {len(names) - 1} more" if names[1:] else "")


def headline(runs: list[RunInfo]) -> str:
    """`2 running, 5 runs`."""
    live = sum(not run.state.ended for run in runs)
    return f"{live} live of {len(runs):,}" if runs else "no runs"
