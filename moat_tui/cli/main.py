"""`moat`: which face, which command, and the one place every error ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

import engine
from moat_tui.cli import errors, options
from moat_tui.cli.argv import Invocation, LazyGroup, check_text, split_command
from moat_tui.cli.output import is_terminal, prepare_streams

_COMMANDS = {
    "run": "moat_tui.cli.run:run",
    "exec": "moat_tui.cli.session:exec_command",
    "attach": "moat_tui.cli.session:attach",
    "list": "moat_tui.cli.inspect:list_command",
    "logs": "moat_tui.cli.inspect:logs",
    "trace": "moat_tui.cli.inspect:trace",
    "audit": "moat_tui.cli.audit:audit",
    "witness": "moat_tui.cli.witness:witness",
    "policy": "moat_tui.cli.policy:policy",
    "approvals": "moat_tui.cli.approvals:approvals",
    "approve": "moat_tui.cli.approvals:approve",
    "deny": "moat_tui.cli.approvals:deny",
    "snapshot": "moat_tui.cli.snapshot:snapshot",
    "snapshots": "moat_tui.cli.snapshot:snapshots",
    "restore": "moat_tui.cli.snapshot:restore",
    "worktree": "moat_tui.cli.worktree:worktree",
    "stop": "moat_tui.cli.stop:stop",
    "destroy": "moat_tui.cli.stop:destroy",
    "volumes": "moat_tui.cli.volumes:volumes",
    "grant": "moat_tui.cli.grant:grant",
    "revoke": "moat_tui.cli.grant:revoke",
    "doctor": "moat_tui.cli.doctor:doctor",
    "clean": "moat_tui.cli.stop:clean",
    "version": "moat_tui.cli.doctor:version",
}


def _version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from moat_tui.cli.doctor import version

        ctx.exit(ctx.invoke(version, as_json=False))


@click.group(
    cls=LazyGroup,
    places=_COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": options.HELP_NAMES, "max_content_width": 100},
)
@click.option("--no-ui", is_flag=True, help="Do not open the screen; implied when stdout is no terminal.")
@click.option("--read-only", is_flag=True, help="Open a screen that shows everything and changes nothing.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="As `moat version`."
)
@click.pass_context
def moat(ctx: click.Context, no_ui: bool, read_only: bool) -> int:
    """Run AI agents in isolated containers and give them the use of credentials without the credentials.

    \b
      moat                            open the screen
      moat grant github               store a credential, once
      moat run -g github -- COMMAND   run an agent in this directory
      moat logs -f                    what it writes
      moat trace                      the requests it makes
      moat audit                      verify its audit log

    On a terminal `moat run` opens the screen on the new run; `moat --no-ui run` runs it right here.
    Exit codes: the agent's own; 125 when Moat itself failed; 2 for a usage error. Everything is kept
    in ~/.moat, or where MOAT_HOME says.
    """
    said: Invocation = ctx.obj
    said.headless = no_ui or not screen_possible()
    if read_only and ctx.invoked_subcommand is not None:
        raise engine.UsageError(
            "--read-only is for the screen, which opens without a command", remedy="Say: moat --read-only"
        )
    if ctx.invoked_subcommand is not None:
        return errors.OK
    if said.command is not None:
        raise engine.UsageError(
            "a command after -- needs `run` or `exec` before it", remedy="Say: moat run [PATH] -- COMMAND"
        )
    if said.headless:
        errors.write_stderr(ctx.get_help() + "\n")
        if not no_ui:
            why = "TERM is dumb" if os.environ.get("TERM") == "dumb" else "stdin or stdout is no terminal"
            errors.say(f"the screen cannot be opened here: {why}; the commands above work")
        return errors.USAGE
    from moat_tui.screen import run_screen

    return run_screen(said.home, read_only=read_only)


def screen_possible() -> bool:
    """Whether there is a terminal to draw on and to read keys from."""
    return is_terminal(0) and is_terminal(1) and os.environ.get("TERM") != "dumb"


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command line (without the program's name) and return its exit code."""
    said = Invocation()
    try:
        prepare_streams()
        if asked := os.environ.get("_MOAT_COMPLETE"):
            from moat_tui.cli.completion import complete

            return complete(moat, said, asked)
        words, said.command = split_command(sys.argv[1:] if argv is None else argv)
        check_text((*words, *(said.command or ())))
        with moat.make_context("moat", words, obj=said) as ctx:
            code = moat.invoke(ctx)
        return code if isinstance(code, int) else errors.OK
    except BaseException as error:  # nothing may reach a person as a traceback
        return errors.report(error, said.name)
