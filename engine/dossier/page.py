"""From a run's story to one HTML file that loads nothing."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import markupsafe
import msgspec

from engine.dossier.story import MOST_HOSTS, MOST_ROWS, Group, Groups, Story
from engine.dossier.visible import cut, visible
from engine.dossier.workspace import Shown, shown_changes
from engine.events import RunInfo

if TYPE_CHECKING:
    from engine.workspace import WorkspaceRecord

_HERE = Path(__file__).parent
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")
_LONGEST = 2_000  # characters of one cell or line

type Row = Sequence[object]


class Workspace(msgspec.Struct, frozen=True):
    """record: None when there is none, and `absent` says why. bound_by: the entry that holds its hash.

    alarm: the record is not what the log says.
    """

    record: WorkspaceRecord | None = None
    absent: str = ""
    alarm: str = ""
    bound_by: int = 0


class Proof(msgspec.Struct, frozen=True):
    """said: the verdict as lines. bundle: its text, empty when `left_out` says why. pinned: hex."""

    said: tuple[str, ...]
    well: bool
    counts: dict[str, int] = {}
    bundle: str = ""
    left_out: str = ""
    origin: str = ""
    checkpoints: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    anchors: tuple[tuple[str, str], ...] = ()
    pinned: str = ""

    @property
    def verdict(self) -> str:
        return next((line for line in self.said if line.startswith("VERDICT:")), "VERDICT: unknown")


class Dossier(msgspec.Struct, frozen=True):
    """made_at: RFC 3339 UTC; last_lines: (ts, stream, line); printed: bytes of logs.jsonl."""

    run: RunInfo
    made_at: str
    story: Story
    problems: tuple[str, ...]
    last_lines: tuple[tuple[str, str, str], ...]
    printed: int
    workspace: Workspace
    proof: Proof


class Table(msgspec.Struct, frozen=True):
    """more: rows that are not shown."""

    titles: tuple[str, ...]
    rows: tuple[Row, ...]
    more: int = 0


def render(dossier: Dossier) -> str:
    template = _environment().get_template("dossier.html")
    style, script = (_HERE / "dossier.css").read_text(), (_HERE / "dossier.js").read_text()
    story = dossier.story
    changes = shown_changes(dossier.workspace.record) if dossier.workspace.record is not None else Shown()
    return template.render(
        d=dossier,
        run=dossier.run,
        story=story,
        changes=changes,
        given=_given(dossier.run, story),
        hosts=_hosts(story),
        requests=_requests(story),
        alarms=_alarms(dossier),
        uses=_table(("grant", "what", "host", "times", "first", "last"), story.uses, _counted),
        approved=_table(("request", "rule", "said", "times", "first", "last"), story.approved, _exampled),
        denied=_table(("request", "rule", "why", "times", "first", "last"), story.denied, _exampled),
        passed=_table(("request", "rule", "said", "times", "first", "last"), story.passed, _exampled),
        ssh=_table(("what", "host", "key", "times", "first", "last"), story.ssh, _counted),
        commands=_table(("command", "exit code", "times", "first", "last"), story.commands, _counted),
        reports=_table(
            ("who", "operation", "decision", "said", "times", "first", "last"), story.reports, _exampled
        ),
        life=Table(
            ("entry", "time", "what", "why"), tuple((seq, _when(ts), *rest) for seq, ts, *rest in story.life)
        ),
        # Only `<` can end a script element; in JSON it can only stand inside a string.
        bundle=markupsafe.Markup(dossier.proof.bundle.replace("<", "\\u003c")),
        style=markupsafe.Markup(style),
        script=markupsafe.Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["size"] = _size
    environment.filters["of"] = amount
    return environment


def _finalize(value: object) -> object:
    """Whatever is put into the page comes through here, before it is escaped."""
    if isinstance(value, markupsafe.Markup):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return visible(cut(str(value), _LONGEST))


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def amount(number: int, noun: str) -> str:
    """`1 line`, `2,000 lines`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _when(ts: str) -> str:
    """To the second; what is no time stays as it is."""
    return f"{ts[:10]} {ts[11:19]}" if _TIME.match(ts) else ts


def _counted(key: tuple[str, ...], group: Group) -> Row:
    return (*key, group.count, _when(group.first), _when(group.last))


def _exampled(key: tuple[str, ...], group: Group) -> Row:
    return (*key, group.example, group.count, _when(group.first), _when(group.last))


def _table(titles: tuple[str, ...], groups: Groups, make: Callable[[tuple[str, ...], Group], Row]) -> Table:
    found = groups.by_count()
    return Table(
        titles, tuple(make(key, group) for key, group in found[:MOST_ROWS]), max(0, len(found) - MOST_ROWS)
    )


_DOCKER = {
    "host": "docker:host, the engine of the machine: with it the agent was root there, and nothing bound it",
    "dind": "docker:dind, a daemon beside the agent's container, held by the isolation above alone",
}


def _given(run: RunInfo, story: Story) -> list[tuple[str, list[str]]]:
    """What the run was given, as (name, values)."""
    isolation = {"gvisor": "gVisor (runsc)", "standard": "the engine's standard runtime"}.get(
        run.sandbox, run.sandbox
    )
    pairs: Iterable[tuple[str, Iterable[str]]] = (
        ("command", (" ".join(run.command),)),
        ("image", (run.image,)),
        ("runtime", (run.runtime,)),
        ("isolation", (isolation,)),
        ("Docker", (_DOCKER.get(run.docker, run.docker),)),
        ("workspace", (run.workspace,)),
        ("mounts", run.mounts),
        ("volumes", run.volume_names),
        ("ports", tuple(f"{port.name}:{port.port} at {port.address}" for port in run.ports)),
        ("network policy", (run.policy,)),
        ("grants", run.grants),
        ("hosts", run.allow_hosts),
        ("secrets", (f"{name} from {reference}" for name, reference in run.secrets.items())),
        ("variables", run.env),
        ("decoys", ("planted",) if run.decoys else ()),
        ("connected elsewhere", run.connect_to),
        ("CA of upstreams", (run.upstream_ca,)),
        ("profile", (run.profile,)),
        ("in the log's words", story.given.split("; ")),
    )
    listed = ((name, [value for value in values if value]) for name, values in pairs)
    return [(name, values) for name, values in listed if values]


def _life(story: Story) -> Table:
    rows = tuple((seq, _when(ts), action, reason) for seq, ts, action, reason in story.life)
    return Table(("entry", "time", "what", "why"), rows)


def _hosts(story: Story) -> Table:
    found = sorted(story.hosts.items(), key=lambda item: (-item[1].group.count, item[0]))
    rows = tuple(
        (
            name,
            host.group.count,
            host.denied or "",
            host.failed or "",
            host.group.said("method"),
            host.group.said("status"),
            host.group.said("grant"),
            f"{_size(host.bytes_out)} / {_size(host.bytes_in)}",
            _when(host.group.first),
            _when(host.group.last),
        )
        for name, host in found[:MOST_HOSTS]
    )
    titles = (
        "host",
        "requests",
        "refused",
        "failed",
        "methods",
        "statuses",
        "grants",
        "out / in",
        "first",
        "last",
    )
    return Table(titles, rows, max(0, len(found) - MOST_HOSTS))


def _requests(story: Story) -> Table:
    listed = [*story.first_requests, *story.last_requests]
    rows = tuple(
        (
            _when(record.ts),
            record.method,
            record.url,
            record.decision if record.decision == "denied" else record.status_code or "",
            record.grant,
            f"{record.duration_ms:,} ms",
            record.rule if record.decision == "denied" else record.error,
        )
        for record in listed
    )
    titles = ("time", "method", "address", "status", "grant", "took", "rule or error")
    return Table(titles, rows, story.requests - len(listed))


def _alarms(dossier: Dossier) -> list[str]:
    """What a reviewer has to see first, a sentence each."""
    said = []
    if not dossier.proof.well:
        said.append(f"The log does not hold: {dossier.proof.verdict.removeprefix('VERDICT: ')}")
    if dossier.workspace.alarm:
        said.append(f"The record of the workspace: {dossier.workspace.alarm}.")
    if dossier.run.frozen:
        said.append(f"The run's network was frozen: {dossier.run.frozen}")
    for (what, message), group in dossier.story.alarms.by_count()[:MOST_ROWS]:
        times = (
            f", {group.count:,} times from {_when(group.first)} to {_when(group.last)}"
            if group.count > 1
            else f", {_when(group.first)}"
        )
        said.append(f"{what}{times}: {message or group.example} (entry {group.seq})")
    if len(dossier.story.alarms) > MOST_ROWS:
        said.append(f"… and {amount(len(dossier.story.alarms) - MOST_ROWS, 'more kind')} of alarms")
    return said
