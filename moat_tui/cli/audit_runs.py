"""`audit runs`: every run that there ever was, with its verdict; those that are missing too."""

from __future__ import annotations

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import NOT_WELL, OK, say


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
    found = engine.audit_installation(said.home)
    if as_json:
        output.write(output.json_page({"well": found.well, **output.plain(found)}))
        return OK if found.well else NOT_WELL
    output.line(_installation(found))
    if not found.runs and not found.events:
        say("there are no runs yet; start one: moat run -- COMMAND")
    width = output.terminal_width()
    rows = [[run.name or "-", run.run, run.verdict, str(run.entries), run.why or "-"] for run in found.runs]
    columns = output.Columns("NAME", "ID", "VERDICT", "ENTRIES", "WHY", right=("ENTRIES",), width=width)
    output.write(columns.render(rows))
    return OK if found.well else NOT_WELL


def _installation(found: engine.InstallationAudit) -> str:
    if found.fault:
        return f"Installation log: [FAIL] {found.fault}"
    if not found.origin:
        return "Installation log: - none yet; the next run begins it"
    unsigned = found.events - found.signed
    parts = [f"{found.events} events", f"{found.keys} changes of its key"]
    if unsigned:
        parts.append(f"the last {unsigned} not signed yet")
    if found.destroyed:
        parts.append(f"{found.destroyed} runs destroyed")
    return f"Installation log: [ok] {found.origin}: {', '.join(parts)}"
