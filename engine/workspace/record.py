"""`workspace.json`: what was different in the workspace when a run was over.

Text in it comes from the agent, masked of what the run hides. Sizes are bytes; times RFC 3339 UTC.
"""

from __future__ import annotations

import msgspec

ADDED, CHANGED, DELETED = "added", "changed", "deleted"
VERSION = 1


class LeftOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a look passed over: how many names, and the first few."""

    why: str
    count: int
    paths: tuple[str, ...] = ()


class Look(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was there at one moment. kept: files whose text was kept to be compared with."""

    at: str
    files: int = 0
    links: int = 0
    special: int = 0  # pipes, sockets, devices
    bytes: int = 0
    kept: int = 0
    left_out: tuple[LeftOut, ...] = ()


class FileState(msgspec.Struct, frozen=True, omit_defaults=True):
    """kind: file, link or special; mode: octal; target: of a link, and whether it leads out of the workspace.

    sha256: empty where it was not computed, and where it would help in guessing what is kept back.
    """

    kind: str
    mode: str
    size: int = 0
    sha256: str = ""
    target: str = ""
    leads_out: bool = False


class WorkspaceChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """diff: the hunks of a unified diff, without file names; no_diff: why there is none.

    path_hex: the name's bytes where they are no UTF-8. runs_later: why the file may act by itself.
    """

    path: str
    change: str  # added, changed, deleted
    path_hex: str = ""
    before: FileState | None = None
    after: FileState | None = None
    diff: str = ""
    no_diff: str = ""
    runs_later: str = ""


class WorkspaceRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """touched: written again with what was there already; more: changes that are counted and not listed."""

    root: str
    before: Look
    after: Look
    added: int = 0
    changed: int = 0
    deleted: int = 0
    touched: int = 0
    more: int = 0
    changes: tuple[WorkspaceChange, ...] = ()
    version: int = VERSION
