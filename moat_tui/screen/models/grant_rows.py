"""One stored grant as a row of cells, and as the lines of its detail window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from moat_tui.screen.models.activity import bars
from moat_tui.screen.models.moments import age, ahead, date_time, plural
from moat_tui.screen.models.narrowing import in_words
from moat_tui.screen.models.pieces import PLAIN, Piece, fit
from moat_tui.screen.models.pretty import pretty_body
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import GrantInfo, GrantUse, RunInfo

TITLES = ("Provider", "Hosts", "Source", "State", "Last used", "Uses by run")
_STATES = {
    "valid": ("✓ valid", "ok"),
    "expiring": ("! expiring", "warn"),
    "expired": ("✗ expired", "bad"),
    "refused": ("✗ refused", "bad"),
    "stale": ("✗ stale", "bad"),
    "unreadable": ("✗ unreadable", "bad"),
}


_LONG = ("host_keys", "policy")  # settings with lines of their own
_GRAPH = 12  # runs in the graph of uses
_ROOMY = 90  # columns below which there is no graph


def widths(total: int) -> tuple[int, ...]:
    """Column widths for `total` columns of which each cell takes two as padding; 0 leaves a column out."""
    graph = _GRAPH if total >= _ROOMY else 0
    rest = max(30, total - 2 * (len(TITLES) - 1) - (graph + 2 if graph else 0))
    state = 10 if rest < 60 else 12
    provider = min(18, max(10, rest // 5))
    used = min(26, max(12, rest // 4))
    source = min(18, max(8, rest // 5))
    return (provider, max(4, rest - provider - source - state - used), source, state, used, graph)


def key(grant: GrantInfo) -> str:
    return f"{grant.profile}/{grant.provider}"


def by_profile(grants: Iterable[GrantInfo]) -> dict[str, dict[str, str]]:
    """Profile ("" is the default one) -> the names of its grants, sorted, each with its state in words.

    A scope (github:ro) is a name of its own.
    """
    found: dict[str, dict[str, str]] = {}
    for grant in sorted(grants, key=lambda grant: (grant.profile, grant.provider)):
        state = _STATES.get(grant.state, (f"? {grant.state}", ""))[0]
        names = found.setdefault(grant.profile, {})
        names[grant.provider] = state
        names |= {f"{grant.provider}:{scope}": state for scope in grant.scopes}
    return found


def tick_label(name: str, state: str, *, asked: bool) -> str:
    """One choice of the start form. state: "" for what is not stored. asked: agent.yaml asks for it."""
    parts = [fit(visible(name.partition(";")[0]), 16), state or "✗ not stored"]
    if limits := in_words(name):
        parts.append(f"· {visible(limits)}")
    if asked:
        parts.append("· agent.yaml asks for it")
    return " ".join(parts)


def label(grant: GrantInfo) -> str:
    """`github`, or `github (work)` when it belongs to a profile."""
    name = visible(grant.provider)
    return f"{name} ({visible(grant.profile)})" if grant.profile else name


def live_users(grant: GrantInfo, runs: Iterable[RunInfo]) -> list[RunInfo]:
    """The runs that hold this grant now."""
    return [
        run
        for run in runs
        if not run.state.ended and run.profile == grant.profile and grant.provider in run.providers
    ]


def _use(grant: GrantInfo, run: RunInfo) -> str:
    """The run, with what its grant is narrowed to: `fix-1 (github:ro)`."""
    mine = [text for text, name in zip(run.grants, run.providers, strict=True) if name == grant.provider]
    narrowed = "".join(f" ({text})" for text in mine if text != grant.provider)
    return visible(run.name + narrowed)


def uses_by_run(
    grant: GrantInfo, runs: Iterable[RunInfo], uses: Mapping[str, Mapping[str, GrantUse]]
) -> list[int]:
    """How often each of the newest runs that were granted it has used it; the oldest of them first."""
    granted = sorted(
        (run for run in runs if run.profile == grant.profile and grant.provider in run.providers),
        key=lambda run: run.created_at,
    )
    found = (uses.get(run.id, {}).get(grant.provider) for run in granted[-_GRAPH:])
    return [use.uses if use else 0 for use in found]


def grant_cells(
    grant: GrantInfo, run_names: Mapping[str, str], now: datetime, uses: Sequence[int] = ()
) -> tuple[Piece, ...]:
    """A cell for each of TITLES. run_names: run id to name, for "last used by"; uses: of `uses_by_run`."""
    used = "never"
    if grant.last_used_at:
        by = run_names.get(grant.last_used_run, grant.last_used_run)
        used = f"{age(grant.last_used_at, now)} {by}" if by else age(grant.last_used_at, now)
    return (
        (label(grant), "strong"),
        (visible(", ".join(grant.hosts)), "info"),
        (visible(grant.source) or "-", PLAIN),
        state_piece(grant, now),
        (visible(used), PLAIN if grant.last_used_at else "dim"),
        (bars(uses) if any(uses) else "", "info"),
    )


def state_piece(grant: GrantInfo, now: datetime) -> Piece:
    text, role = _STATES.get(grant.state, (f"? {grant.state}", "warn"))
    if grant.state == "expiring":
        return f"! {ahead(grant.expires_at, now)}", role
    if grant.state == "valid" and grant.expires_at:
        return f"✓ {ahead(grant.expires_at, now)}", role
    return text, role


def grant_report(
    grant: GrantInfo,
    run_names: Mapping[str, str],
    now: datetime,
    uses: Sequence[int] = (),
    users: Sequence[RunInfo] = (),
    left: Sequence[list[Piece]] = (),
) -> list[list[Piece]]:
    """Lines of (text, role): what is stored about it, never the value. uses, users: from the above. left: a
    line for each live run that has it narrowed.
    """

    def field(name: str, *pieces: Piece) -> list[Piece]:
        return [(f"{name:<12} ", "dim"), *pieces]

    lines = [
        field("Provider", (label(grant), "strong"), (f"  {visible(grant.title)}", "dim")),
        field("State", _STATES.get(grant.state, (str(grant.state), "warn"))),
    ]
    if grant.problem:
        lines.append(field("Problem", (visible(grant.problem), "bad")))
    if grant.account:
        lines.append(field("Account", (visible(grant.account), PLAIN)))
    lines.append(field("Source", (visible(grant.source) or "-", PLAIN)))
    lines.append(field("Stored", (date_time(grant.created_at), PLAIN)))
    expires = (
        f"{date_time(grant.expires_at)} ({ahead(grant.expires_at, now)})" if grant.expires_at else "never"
    )
    lines.append(field("Expires", (expires, PLAIN)))
    used = "never"
    if grant.last_used_at:
        by = visible(run_names.get(grant.last_used_run, grant.last_used_run))
        used = f"{date_time(grant.last_used_at)} by {by or 'a run'}"
    lines.append(field("Last used", (used, PLAIN)))
    if any(uses):
        told = f"  {sum(uses):,} in the last {plural(len(uses), 'run')} that had it"
        lines.append(field("Uses by run", (bars(uses), "info"), (told, "dim")))
    names = ", ".join(_use(grant, run) for run in users)
    lines.append(field("In use by", (f"● {names}", "ok") if users else ("no live run", "dim")))
    lines += [field("Limits left" if not place else "", *pieces) for place, pieces in enumerate(left)]
    if grant.scopes:
        names = ", ".join(f"{grant.provider}:{scope}" for scope in grant.scopes)
        lines.append(field("Scopes", (visible(names), PLAIN)))
    lines += [
        field("Host" if not index else "", (visible(host), "info")) for index, host in enumerate(grant.hosts)
    ]
    lines += _settings(grant.settings)
    lines += [[], [("What an agent gets instead of the credential", "strong")]]
    lines += [
        [(f"  {visible(name)}=", "info"), (visible(value), PLAIN)] for name, value in grant.env.items()
    ] or [[("  nothing in its environment", "dim")]]
    return lines


def _settings(settings: Mapping[str, str]) -> list[list[Piece]]:
    """How it was granted; a session policy as its author would have written it."""
    lines: list[list[Piece]] = [[], [("How it was granted", "strong")]] if settings else []
    for name, text in settings.items():
        title = visible(name.replace("_", " "))
        if name in _LONG:
            told = [[(visible(part), PLAIN)] for part in text.splitlines()]
            told = pretty_body(text, "application/json").lines if name == "policy" else told
            lines += [[(f"  {title}", "dim")], *([("    ", PLAIN), *pieces] for pieces in told)]
        else:
            lines.append([(f"  {title:<17} ", "dim"), (visible(text), PLAIN)])
    return lines
