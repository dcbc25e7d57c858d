"""The one place that writes to stderr and decides exit codes.

    0    done                      2    a usage error
    1    looked, and it is not well (audit, doctor)
    125  Moat itself failed        130  interrupted
    141  the reader of our output went away
    anything else is the agent's own

No message here is built from an unexpected exception's text: such a text may hold anything, a
credential included. Only MoatError texts, which are written to be shown, are shown.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator

import click

import engine
from moat_tui.cli.output import SinkError, abandon_stdout, escape, is_terminal

OK = 0
NOT_WELL = 1
USAGE = 2
MOAT_FAILED = 125
INTERRUPTED = 130
READER_GONE = 141

_MOST_LINES = 3


def say(text: str) -> None:
    """One line of Moat's own on stderr. A stderr that is gone is no reason to fail."""
    write_stderr(f"moat: {escape(text)}\n")


def write_stderr(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def report(error: BaseException, command: str) -> int:
    """Say what went wrong in at most three lines and return the exit code. `command` is its name only."""
    error = _cause(error)
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case BrokenPipeError():
            abandon_stdout()
            return READER_GONE
        case SinkError():
            _lines([f"standard output could not be written: {error.reason}"])
            return MOAT_FAILED
        case KeyboardInterrupt() | click.Abort():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # leaving: a second one must not disturb
            if is_terminal(2):
                write_stderr("\n")  # the shell's prompt begins a line, not behind a question or ^C
            return INTERRUPTED
        case engine.MoatError():
            _lines(error.lines())
            return error.exit_code
        case click.exceptions.NoArgsIsHelpError():  # its text is the whole help
            group = error.ctx.command
            names = ", ".join(group.list_commands(error.ctx)) if isinstance(group, click.Group) else ""
            _lines([f"no command is given; there are: {names}", f"See: {error.ctx.command_path} --help"])
            return USAGE
        case click.UsageError():
            where = error.ctx.command_path if error.ctx is not None else "moat"
            _lines([error.format_message(), f"See: {where.strip()} --help"])
            return USAGE
        case click.ClickException():
            _lines([error.format_message()])
            return USAGE
        case SystemExit():
            return error.code if isinstance(error.code, int) else MOAT_FAILED
    _internal(error, command)
    return MOAT_FAILED


def _cause(error: BaseException) -> BaseException:
    """From a task group's bundle the one error that explains it: Moat's own first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = list(_leaves(error))
    for kind in (engine.MoatError, KeyboardInterrupt):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _lines(lines: list[str]) -> None:
    first, *rest = lines or ["something failed without saying why"]
    say(f"error: {' '.join(first.split())}")
    for line in rest[: _MOST_LINES - 1]:
        say(" ".join(line.split()))


def _internal(error: BaseException, command: str) -> None:
    what = f"internal error: {type(error).__name__} in {command}"
    if os.environ.get("MOAT_DEBUG") == "1":
        # Frames only: neither the exception's text nor any local value is shown.
        write_stderr("".join(traceback.format_tb(error.__traceback__)))
        say(what)
    else:
        say(f"{what}; run it again with MOAT_DEBUG=1 to see where, and please report it")
