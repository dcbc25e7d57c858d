"""What a check says: one line with a state, and what to do about it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class CheckState(StrEnum):
    OK = "ok"
    WARN = "warn"  # works, but something deserves a look
    FAIL = "fail"


class CheckResult(msgspec.Struct, frozen=True):
    """One line of `moat doctor`.

    name: the stable word used by `only` and `--json`; title: the same for people.
    message: one sentence, the state found; remedy: one sentence, "" when there is nothing to do.
    fixable: `moat doctor --fix` can do the remedy on this machine.
    needed: a run with the default settings cannot work while this fails.
    """

    name: str
    title: str
    state: CheckState
    message: str
    remedy: str = ""
    fixable: bool = False
    needed: bool = True
