"""`snapshot`, `snapshots`, `restore`: keep what lies in a run's workspace, and put it back."""

from __future__ import annotations

from pathlib import Path

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import DefaultGroup, Invocation
from moat_tui.cli.errors import NOT_WELL, OK, say
from moat_tui.cli.leftovers import reap
from moat_tui.cli.prompts import confirm, person_there

_run = click.argument("run", metavar="RUN", shell_complete=options.complete_runs)
_UNITS = (("GiB", 30), ("MiB", 20), ("KiB", 10))


@click.command("snapshot")
@options.which_run
@click.option("--label", default="", metavar="TEXT", help="What to remember it by.")
@options.as_json
@click.pass_obj
def make(said: Invocation, run: str, label: str, as_json: bool) -> int:
    """Keep what lies in the workspace of RUN now: an id, the start of one, or a name; the latest run when
    left out.

    \b
      moat snapshot
      moat snapshot swift-otter --label 'before the refactoring'
    """
    import asyncio

    reap(said.home)
    found = engine.find_run(said.home, run)
    made = asyncio.run(engine.make_snapshot(said.home, found, label))
    if as_json:
        output.write(output.json_page(made))
        return OK
    output.line(made.id)
    say(f"{_contents(made)}; put it back: moat restore {found.id} {made.id}")
    _say_left_out(made.left_out, "not in it")
    if made.torn:
        say(f"{made.torn} files changed while they were read")
    return OK


@click.command("rm", short_help="Remove snapshots.")
@_run
@click.argument("snapshots", metavar="SNAPSHOT…", nargs=-1, required=True)
@options.as_json
@click.pass_obj
def remove(said: Invocation, run: str, snapshots: tuple[str, ...], as_json: bool) -> int:
    """Remove snapshots of RUN, and of what they kept all that no other one needs.

    \b
      moat snapshot rm swift-otter s2 s3
    """
    found = engine.find_run(said.home, run)
    freed = {name: engine.remove_snapshot(said.home, found, name) for name in snapshots}
    if as_json:
        output.write(output.json_page({"removed": list(freed), "freed": sum(freed.values())}))
        return OK
    for name, size in freed.items():
        output.line(f"{name} removed, {_size(size)} freed")
    return OK


snapshot = DefaultGroup(
    name="snapshot",
    default=make,
    usage="[RUN] [--label TEXT]  |  rm RUN SNAPSHOT…",
    commands={"rm": remove},
    short_help="Keep what lies in a run's workspace now.",
    help="""Keep what lies in the workspace of RUN now (an id, the start of one, or a name; the latest run
when left out), or remove such snapshots. Every run has one from its start. What two snapshots of a workspace
share is kept once.

\b
  moat snapshot
  moat snapshot swift-otter --label 'before the refactoring'
  moat snapshot rm swift-otter s2
""",
)


@click.command(short_help="List the snapshots of a run's workspace.")
@options.which_run
@options.as_json
@click.pass_obj
def snapshots(said: Invocation, run: str, as_json: bool) -> int:
    """List the snapshots of RUN, oldest first: an id, the start of one, or a name; the latest run when
    left out. LEFT OUT counts what is not in one; --json says why.

    \b
      moat snapshots
      moat snapshots swift-otter --json
    """
    found = engine.find_run(said.home, run)
    infos = engine.list_snapshots(said.home, found)
    if as_json:
        output.write(output.json_page(infos))
        return OK
    if not infos:
        say(f"{found.name} has no snapshots; make one: moat snapshot {found.id}")
        return OK
    table = output.Columns(
        "ID", "TIME", "WHY", "FILES", "SIZE", "STORED", "LEFT OUT", "LABEL",
        right=("FILES", "SIZE", "STORED", "LEFT OUT"), elastic="LABEL", width=output.terminal_width(),
    )  # fmt: skip
    output.write(table.render([_row(info) for info in infos]))
    return OK


@click.command(short_help="Put a snapshot back.")
@_run
@click.argument("snapshot", metavar="SNAPSHOT")
@click.option("--to", metavar="DIR", help="Put it into the new directory DIR instead.")
@click.option("--force", is_flag=True, help="Also while a run is at work in the workspace.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@options.as_json
@click.pass_obj
def restore(
    said: Invocation, run: str, snapshot: str, to: str | None, force: bool, yes: bool, as_json: bool
) -> int:
    """Make the workspace of RUN what it was at SNAPSHOT: changed files come back, new ones go.

    What lies there is kept in a snapshot of its own first, which this prints. What one of the two leaves out
    stays as it is. While a run is at work there it is refused without --force. On a terminal it asks first.
    The exit code is 1 when something could not be put back.

    \b
      moat restore swift-otter s1
      moat restore swift-otter s1 --to /tmp/before
    """
    import asyncio

    reap(said.home)
    found = engine.find_run(said.home, run)
    asked = to is None and not yes and person_there()
    if asked and not confirm(f"make {found.workspace} what it was at {snapshot}?"):
        raise engine.MoatError("nothing was put back")
    done = asyncio.run(
        engine.restore_snapshot(
            said.home, found, snapshot, to=Path(to) if to is not None else None, force=force
        )
    )
    if as_json:
        output.write(output.json_page(done))
    else:
        if done.safety is not None:
            output.line(done.safety.id)
            say(f"what was there before is {done.safety.id}: moat restore {found.id} {done.safety.id}")
        say(f"{done.done.written} written, {done.done.deleted} deleted in {done.place}")
        _say_left_out(done.done.left_out, "left as it is")
    return NOT_WELL if done.done.failed else OK


def _row(info: engine.SnapshotInfo) -> tuple[str, ...]:
    when = output.moment(info.at)
    return (
        info.id,
        when.astimezone().strftime("%Y-%m-%d %H:%M:%S") if when else "-",
        info.reason,
        str(info.files),
        _size(info.bytes),
        _size(info.stored),
        str(sum(item.count for item in info.left_out) or "-"),
        info.label or "-",
    )


def _contents(info: engine.SnapshotInfo) -> str:
    files = "1 file" if info.files == 1 else f"{info.files} files"
    return f"{files}, {_size(info.bytes)}, {_size(info.stored)} stored for it"


def _say_left_out(left_out: tuple[engine.LeftOut, ...], what: str) -> None:
    for item in left_out:
        more = " …" if item.count > len(item.paths) else ""
        names = f": {', '.join(item.paths)}{more}" if item.paths else ""
        say(f"{what}: {item.count} ({item.why}){names}")


def _size(count: int) -> str:
    for unit, shift in _UNITS:
        if count >> shift:
            return f"{count / (1 << shift):.1f} {unit}"
    return f"{count} B"
