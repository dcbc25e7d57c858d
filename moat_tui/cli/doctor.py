"""`doctor`: is this machine ready, and what to do where it is not; `version`."""

from __future__ import annotations

import platform

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import NOT_WELL, OK, say

_WORDS = {"ok": "ok", "warn": "warn", "fail": "FAIL"}


@click.command(short_help="Check this machine, and ready it with --fix.")
@click.option("--fix", is_flag=True, help="Do the remedies that can be done, then check again.")
@options.as_json
@click.pass_obj
def doctor(said: Invocation, fix: bool, as_json: bool) -> int:
    """Check what Moat needs on this machine: a line each, with the remedy where something is wrong.

    The exit code is 1 when something that is needed is not there. --fix installs Docker and gVisor from
    the system's own package mirror, starts Docker where nothing else does, and gets the base image; it
    needs root or sudo, and says on stderr what it does.

    \b
      moat doctor
      moat doctor --fix
    """
    import asyncio

    results = asyncio.run(engine.fix_machine(said.home, say) if fix else engine.run_checks(said.home))
    ready = not any(check.needed and str(check.state.value) == "fail" for check in results)
    if as_json:
        output.write(output.json_page({"ok": ready, "checks": results}))
        return OK if ready else NOT_WELL
    width = max((len(check.title) for check in results), default=0)
    for check in results:
        word = _WORDS[check.state.value]
        output.line(f"{word:<4}  {check.title:<{width}}  {check.message}".rstrip())
        if word != "ok" and check.remedy:
            for text in check.remedy.splitlines():
                output.line(f"      {text}")
    if not fix and any(check.fixable for check in results if check.state.value != "ok"):
        say("what can be remedied here is remedied by: moat doctor --fix")
    return OK if ready else NOT_WELL


@click.command(short_help="Print Moat's version.")
@options.as_json
def version(as_json: bool) -> int:
    """Print the versions of Moat and of the Python that runs it."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        ours = installed("moat")
    except PackageNotFoundError:
        ours = "unknown (not installed)"
    if as_json:
        output.write(output.json_page({"moat": ours, "python": platform.python_version()}))
    else:
        output.line(f"moat {ours} (Python {platform.python_version()})")
    return OK
