"""`audit runs`: every run that there ever was, with its verdict; those that are missing too."""

from __future__ import annotations

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import NOT_WELL, OK, say, write_stderr


@click.command(short_help="Verify every run's log, and name the missing ones.")
@options.as_json
@click.pass_obj
def runs(said: Invocation, as_json: bool) -> int:
    """Verify the log of every run, and hold the runs that are there against the installation's own log: a
    run whose directory was removed, put back from a copy or brought from elsewhere is named.

    \b
      moat audit runs
      moat audit runs --json
    """
    try:
        found = engine.audit_installation(said.home, _progress)
    finally:
        _clear()
    if as_json:
        output.write(output.json_page({"well": found.well, **output.plain(found)}))
        return OK if found.well else NOT_WELL
    output.line(_installation(found))
    if not found.runs and not found.events:
        say("there are no runs yet; start one: moat run -- COMMAND")
    width = output.terminal_width()
    titles = ["NAME", "ID", "VERDICT", "ENTRIES", "WHY"]
    rows = [[run.name or "-", run.run, run.verdict, str(run.entries), run.why or "-"] for run in found.runs]
    if width is not None:  # the reasons are sentences: as a column they would be cut off
        titles, rows = titles[:-1], [row[:-1] for row in rows]
    output.write(output.Columns(*titles, right=("ENTRIES",), width=width).render(rows))
    if width is not None:
        for run in found.runs:
            if run.why:
                output.line(f"{run.name or run.run}: {run.why}")
    return OK if found.well else NOT_WELL


def _progress(done: int, total: int) -> None:
    if output.is_terminal(2):
        write_stderr(f"\r\x1b[Kverifying run {done + 1} of {total}")


def _clear() -> None:
    if output.is_terminal(2):
        write_stderr("\r\x1b[K")


def _installation(found: engine.InstallationAudit) -> str:
    if found.fault:
        return f"Installation log: [FAIL] {found.fault}"
    if not found.origin:
        return "Installation log: - none yet; the next run begins it"
    unsigned = found.events - found.signed
    parts = [_count(found.events, "event"), f"its key replaced {_count(found.keys, 'time')}"]
    if unsigned:
        parts.append(f"the last {unsigned} not signed yet")
    if found.destroyed:
        parts.append(f"{_count(found.destroyed, 'run')} destroyed")
    return f"Installation log: [ok] {found.origin}: {', '.join(parts)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
