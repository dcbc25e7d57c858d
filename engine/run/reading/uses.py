"""How often each run has used each of its grants, from the runs' own `usage.json`."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from engine.errors import HomeError
from engine.events import GrantUse
from engine.home import Home
from engine.run.names import ID_PREFIX

USAGE = "usage.json"


def run_uses(home: Home) -> dict[str, Mapping[str, GrantUse]]:
    """Run id -> grant -> last use and number of uses; runs without uses are left out. Blocking.

    A file that cannot be read counts as no uses: a viewer of grants must not fail because of one run.
    """
    try:
        ids = sorted(name for name in os.listdir(home.runs) if name.startswith(ID_PREFIX))
    except OSError:
        return {}
    found: dict[str, Mapping[str, GrantUse]] = {}
    for run_id in ids:
        try:
            uses = msgspec.json.decode(home.read(home.run(run_id) / USAGE), type=dict[str, GrantUse])
        except (FileNotFoundError, HomeError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            continue
        if uses:
            found[run_id] = uses
    return found
