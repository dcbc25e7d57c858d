"""`exec`, `attach`: this terminal, or these pipes, joined to a live run."""

from __future__ import annotations

import os

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import OK, say, write_stderr
from moat_tui.cli.leftovers import reap
from moat_tui.cli.passthrough import STDERR, STDOUT, Outlet, carry_on, stop_this_run


class _ExecCommand(click.Command):
    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND…]"]


@click.command("exec", cls=_ExecCommand, short_help="Run a command beside a live run's agent.")
@options.which_run
@click.option("-i", "--interactive", is_flag=True, help="As docker's; input is connected in any case.")
@click.option(
    "-t/-T", "--tty/--no-tty", "tty", default=None,
    help="Give it a terminal, or none.  [default: when stdin and stdout are one]",
)  # fmt: skip
@click.pass_obj
def exec_command(said: Invocation, run: str, interactive: bool, tty: bool | None) -> int:
    """Run a command in a live run's container: the agent's user, directory, environment and proxy.

    The command goes after `--`; left out, it is a shell. Its exit code is this command's, and through pipes
    its output comes out byte for byte. RUN is an id, the start of one, or a name; the latest run when left
    out.

    \b
      moat exec swift-otter
      moat exec swift-otter -- git log --oneline
      tar c notes | moat exec swift-otter -- tar x -C /tmp
    """
    import asyncio

    if said.command == ():
        raise engine.UsageError(
            "there is no command after --", remedy="Leave -- out as well for a shell: moat exec RUN"
        )
    there = output.is_terminal(0) and output.is_terminal(1)
    if tty and not there:
        raise engine.UsageError("-t needs a terminal on stdin and stdout", remedy="Leave -t out for pipes.")
    reap(said.home)
    found = engine.find_run(said.home, run)
    terminal = there if tty is None else tty
    if terminal and said.command is None and output.is_terminal(2):
        say(f"a shell in {found.name} ({found.id}); to come back: exit, or ctrl-d")
    io, stdout = _streams(terminal=terminal)
    code = asyncio.run(
        engine.exec_in_run(said.home, found.id, said.command or (), io, os.environ, notice=say)
    )
    _check(stdout)
    return code


@click.command(short_help="Join the terminal of an interactive run.")
@options.which_run
@click.pass_obj
def attach(said: Invocation, run: str) -> int:
    """Join the agent of a live interactive run: see what it prints from now on, and type.

    ctrl-p ctrl-q leaves it running. When the agent ends, its exit code is this command's. RUN is an id, the
    start of one, or a name; the latest run when left out.

    \b
      moat run -d -i -n talk -- claude
      moat attach talk
    """
    import asyncio

    reap(said.home)
    found = engine.find_run(said.home, run)
    terminal = output.is_terminal(0) and output.is_terminal(1)
    if terminal and output.is_terminal(2) and found.interactive and not found.state.ended:
        say(f"attached to {found.name} ({found.id}); to leave it running: ctrl-p ctrl-q")
    io, stdout = _streams(terminal=terminal)
    code = asyncio.run(engine.attach_run(said.home, found.id, io, os.environ, notice=say))
    _check(stdout)
    if code is None:
        write_stderr("\n")  # the cursor is where the agent left it
        say(f"left {found.name}, which goes on; come back: moat attach {found.id}")
        return OK
    return code


def _streams(*, terminal: bool) -> tuple[engine.AgentIO, Outlet]:
    stdout, stderr = Outlet(STDOUT, stop_this_run), Outlet(STDERR, carry_on)
    return engine.AgentIO(stdout=stdout, stderr=stderr, stdin=0, terminal=0 if terminal else None), stdout


def _check(stdout: Outlet) -> None:
    if stdout.problem:
        raise engine.MoatError(f"standard output could not be written: {stdout.problem}")
