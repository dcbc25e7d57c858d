"""Asking a person, on the terminal only: nothing here may hang a script."""

from __future__ import annotations

import getpass
import signal
import sys
import warnings

import engine
from moat_tui.cli.errors import write_stderr
from moat_tui.cli.output import escape, is_terminal


def person_there() -> bool:
    """Whether somebody can read a question and answer it."""
    return is_terminal(0) and is_terminal(2)


def confirm(question: str) -> bool:
    """`question` with [y/N] on stderr; only y or yes is yes."""
    write_stderr(f"moat: {escape(question)} [y/N] ")
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        write_stderr("\n")
    return answer.strip().lower() in ("y", "yes")


def chosen(question: str, choices: list[str]) -> int:
    """The index of the one that was chosen by its number. Raises MoatError when none was."""
    for number, choice in enumerate(choices, 1):
        write_stderr(f"  {number}  {escape(choice)}\n")
    write_stderr(f"moat: {escape(question)} [1-{len(choices)}] ")
    answer = sys.stdin.readline().strip()
    if not answer.isascii() or not answer.isdecimal() or not 1 <= int(answer) <= len(choices):
        raise engine.MoatError("none of them was chosen")
    return int(answer) - 1


def hidden(question: str) -> str:
    """A line typed without echo. Raises MoatError where the terminal cannot hide it.

    Whatever ends the question, the terminal echoes again: Ctrl-\\ counts as Ctrl-C while it is asked.
    """
    before = signal.signal(signal.SIGQUIT, signal.default_int_handler)
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(f"moat: {escape(question)}: ", stream=sys.stderr)
        except getpass.GetPassWarning:
            raise engine.MoatError(
                "this terminal cannot hide what is typed", remedy="Pipe the value in instead, with --stdin."
            ) from None
        except EOFError:
            write_stderr("\n")
            raise engine.MoatError("nothing was typed") from None
        finally:
            signal.signal(signal.SIGQUIT, before)
