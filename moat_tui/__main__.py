"""`moat` and `python -m moat_tui`."""

from __future__ import annotations

import contextlib
import os
import sys


def main() -> int:
    """Carry out this process's command line; returns the exit code."""
    _forget_working_directory()
    from moat_tui.cli.main import main as carry_out

    return carry_out()


def program() -> None:
    """The console script: as `main`, and then end at once.

    Everything that matters is closed by now. Taking down an interpreter that holds the proxy's libraries
    costs a tenth of a second, which whoever waits for `moat run` would wait too.
    """
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _forget_working_directory() -> None:
    """`python -m` looks for modules in the working directory first, and that may be an agent's workspace.

    A `click.py` written there must not become part of Moat. A checkout that is run from its own root stays.
    """
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if sys.path and sys.path[0] in ("", os.getcwd()) and os.getcwd() != ours:
        del sys.path[0]


if __name__ == "__main__":
    program()
