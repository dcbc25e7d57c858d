"""The workspace room: what is in a workspace before the agent starts, and what is different at the end.

    names        which files are secret, which run by themselves, which come last
    folders      going down a tree that is an agent's, by descriptors
    listing      what is there, bounded          first_look the first one       comparison  the second one
    contents     the texts in between            differ     unified diffs        record   workspace.json
    snapshots/   what is kept of one, so that it can be put back
    usage        how much a tree takes           removal    taking one away

A workspace is the agent's: nothing of it is ever run here (git least of all), no link is followed, nothing
that is not a regular file is opened, and every look is bounded in number, bytes and time. What is left out
is counted and said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import exports

if TYPE_CHECKING:
    from engine.workspace.comparison import compare as compare
    from engine.workspace.first_look import FirstLook as FirstLook
    from engine.workspace.first_look import take_first_look as take_first_look
    from engine.workspace.folders import open_root as open_root
    from engine.workspace.record import FileState as FileState
    from engine.workspace.record import LeftOut as LeftOut
    from engine.workspace.record import Look as Look
    from engine.workspace.record import WorkspaceChange as WorkspaceChange
    from engine.workspace.record import WorkspaceRecord as WorkspaceRecord
    from engine.workspace.removal import empty_folder as empty_folder
    from engine.workspace.usage import Usage as Usage
    from engine.workspace.usage import disk_usage as disk_usage

_HOMES = {
    ".comparison": ("compare",),
    ".folders": ("open_root",),
    ".removal": ("empty_folder",),
    ".usage": ("Usage", "disk_usage"),
    ".record": ("FileState", "LeftOut", "Look", "WorkspaceChange", "WorkspaceRecord"),
    ".first_look": ("FirstLook", "take_first_look"),
}
__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = exports(__name__, _HOMES)
