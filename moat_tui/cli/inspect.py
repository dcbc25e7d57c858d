"""`list`, `logs`, `trace`: read a run's files, live or finished, and change nothing in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import OK, say
from moat_tui.cli.leftovers import reap

_POLL_SECONDS = 0.15
_REAP_SECONDS = 3.0
_COMMAND_WIDTH = 60  # of a command in the list; --json has it whole
_MOST_PROBLEMS = 3
_WIDE = 100  # cells from which on the list has room for the runtime too


@click.command("list", short_help="List runs, newest first.")
@options.as_json
@click.pass_obj
def list_command(said: Invocation, as_json: bool) -> int:
    """List runs, newest first.

    \b
      moat list
      moat list --json
    """
    reap(said.home)
    runs = engine.list_runs(said.home)
    if as_json:
        output.write(output.json_page(runs))
        return OK
    if not runs:
        say("there are no runs yet; start one: moat run -- COMMAND")
        return OK
    width = output.terminal_width()
    facts = [_facts(run) for run in runs]
    titles = list(facts[0])
    if width is not None and width < _WIDE:
        titles.remove("RUNTIME")
    if width is not None or not any(map(_problem, runs)):
        titles.remove("PROBLEM")
    if not any(map(_ports, runs)):
        titles.remove("PORTS")
    rows = [[fact[title] for title in titles] for fact in facts]
    output.write(output.Columns(*titles, right=("EXIT",), width=width).render(rows))
    if width is not None:
        _problems(runs, width)
    return OK


def _problems(runs: Sequence[engine.RunInfo], width: int) -> None:
    """What went wrong with runs, under the list: as a column it would push all else off a terminal."""
    failed = [run for run in runs if _problem(run)]
    for run in failed[:_MOST_PROBLEMS]:
        output.write(output.cut(output.escape(f"{run.name}: {_problem(run)}"), width) + "\n")
    if len(failed) > _MOST_PROBLEMS:
        output.line(f"and {len(failed) - _MOST_PROBLEMS} more; all of them: moat list --json")


def _problem(run: engine.RunInfo) -> str:
    parts = (run.error, f"network frozen: {run.frozen}" if run.frozen else "", *run.lost)
    return "; ".join(filter(None, parts))


def _ports(run: engine.RunInfo) -> str:
    """Where a live run's are on this machine: `web:3000`. A frozen one's carry nothing."""
    if run.state.ended or run.frozen:
        return ""
    return ",".join(f"{port.name}:{port.address.rpartition(':')[2]}" for port in run.ports)


def _facts(run: engine.RunInfo) -> dict[str, str]:
    return {
        "NAME": run.name,
        "ID": run.id,
        "STATE": f"{run.state}, frozen" if run.frozen and not run.state.ended else str(run.state),
        "EXIT": "-" if run.exit_code is None else str(run.exit_code),
        "RUNTIME": _runtime(run),
        "AGE": output.age(run.created_at),
        "GRANTS": ",".join(run.grants) or "-",
        "PORTS": _ports(run) or "-",
        "COMMAND": output.cut(" ".join(run.command), _COMMAND_WIDTH) or "-",
        "PROBLEM": _problem(run) or "-",
    }


def _runtime(run: engine.RunInfo) -> str:
    kept = f"{run.runtime}/{run.sandbox}" if run.sandbox else run.runtime
    return f"{kept}, docker:{run.docker}" if run.docker else kept


@click.command(short_help="Print what a run's agent wrote.")
@options.which_run
@options.follow
@options.last_lines
@options.as_json_lines
@click.pass_obj
def logs(said: Invocation, run: str, follow: bool, lines: int | None, as_json: bool) -> int:
    """Print what a run's agent wrote, its stdout and stderr in the order they came.

    RUN is an id, the start of one, or a name; the latest run when left out.

    \b
      moat logs
      moat logs -f swift-otter
      moat logs -n 20 run_3f
    """
    reap(said.home)
    found = engine.find_run(said.home, run)
    terminal, colour = output.stdout_is_terminal(), output.colours()

    def show(batch: list[engine.LogLine]) -> str:
        if as_json:
            return "".join(map(output.json_line, batch))
        return "".join(
            output.agent_line(entry.line, terminal=terminal, colour=colour) + "\n" for entry in batch
        )

    tail = engine.LogTail(said.home, found.id)
    for batch in _batches(said.home, found.id, tail.read, tail.last, lines, follow=follow):
        output.write(show(batch))
    _say_skipped(tail.skipped)
    return OK


@click.command(short_help="Print a run's requests, one a line.")
@options.which_run
@click.option("--network", is_flag=True, help="Network requests; the default, and all there is so far.")
@options.follow
@options.last_lines
@options.as_json_lines
@click.pass_obj
def trace(said: Invocation, run: str, network: bool, follow: bool, lines: int | None, as_json: bool) -> int:
    """Print a run's requests, one a line: when, what, the answer, the grant used, the decision.

    RUN is an id, the start of one, or a name; the latest run when left out. With --json each line
    holds the whole record, headers and the first 8 KiB of bodies included; credentials are redacted.

    \b
      moat trace
      moat trace -f swift-otter
      moat trace --json | jq .url
    """
    reap(said.home)
    found = engine.find_run(said.home, run)
    table = output.Columns(
        "TIME", "METHOD", "HOST", "PATH", "STATUS", "MS", "GRANT", "DECISION",
        right=("STATUS", "MS"), elastic="PATH", width=output.terminal_width(),
    )  # fmt: skip

    def show(batch: list[engine.RequestRecord]) -> str:
        if as_json:
            return "".join(map(output.json_line, batch))
        return table.render([_request(record) for record in batch])

    tail = engine.RequestTail(said.home, found.id)
    for batch in _batches(said.home, found.id, tail.read, tail.last, lines, follow=follow):
        output.write(show(batch))
    _say_skipped(tail.skipped)
    return OK


def _request(record: engine.RequestRecord) -> tuple[str, ...]:
    when = output.moment(record.ts)
    authority, slash, path = record.url.partition("://")[2].partition("/")
    outcome = record.decision if not record.error else f"{record.decision}: {record.error}"
    return (
        when.astimezone().strftime("%H:%M:%S") if when else "-",
        record.method,
        record.host or authority,
        slash + path or "-",
        str(record.status_code) if record.status_code else "-",
        str(record.duration_ms),
        record.grant or "-",
        outcome,
    )


def _batches[Line](
    home: engine.Home,
    run_id: str,
    read: Callable[[], list[Line]],
    last: Callable[[int], list[Line]],
    count: int | None,
    *,
    follow: bool,
) -> Iterator[list[Line]]:
    """What there is, the last `count` lines only when given, then what comes until the run ends."""
    if count is not None:
        yield last(count)
        if not follow:
            return
    idle_since = time.monotonic()
    while True:
        # The state is read first: what an ended run wrote is then all there to be read.
        ended = not follow or engine.find_run(home, run_id).state.ended
        batch = read()
        if batch:
            idle_since = time.monotonic()
            yield batch
        elif ended:
            return
        else:
            if time.monotonic() - idle_since > _REAP_SECONDS:
                reap(home)
                idle_since = time.monotonic()
            time.sleep(_POLL_SECONDS)


def _say_skipped(count: int) -> None:
    if count:
        say(f"left out, because they could not be read: {count} damaged line{'s' if count > 1 else ''}")
