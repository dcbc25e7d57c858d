"""What the start form says about a workspace, and how a half-typed directory goes on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from moat_tui.screen.models.moments import plural
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import WorkspaceInfo

_LOOKED_AT = 2_000  # most entries of one directory that are looked at for a suggestion


def said_by(info: WorkspaceInfo) -> tuple[str, bool]:
    """(one line, whether it is a problem): what the workspace's agent.yaml asks for."""
    if info.problem:
        # The directory itself stands in the field above.
        return "✗ " + visible(" ".join(info.problem).replace(f"{info.path}/", "")), True
    if not info.file:
        return "no agent.yaml in it", False
    parts = []
    if info.docker:  # first: what else it asks for is little beside it
        parts.append(f"! docker:{info.docker}")
    if info.command:
        parts.append(shlex.join(info.command))
    if info.grants:
        parts.append("grants " + ", ".join(info.grants))
    if info.policy:
        parts.append(f"{info.policy} network")
    if info.allow:
        parts.append(plural(len(info.allow), "host"))
    if info.image:
        parts.append(f"image {info.image}")
    if info.sandbox is not None:
        parts.append("gVisor" if info.sandbox else "no gVisor")
    if info.tools:
        parts.append("tools " + ", ".join(info.tools))
    if info.hooks:
        parts.append("hooks " + ", ".join(info.hooks))
    if info.services:
        parts.append("with " + ", ".join(info.services))
    if info.decoys:
        parts.append("decoys")
    if info.mounts:
        parts.append(plural(len(info.mounts), "mount"))
    if info.volumes:
        parts.append(plural(len(info.volumes), "volume"))
    if info.ports:
        parts.append("ports " + ", ".join(info.ports))
    if info.env:
        parts.append(plural(len(info.env), "variable"))
    return visible(f"{info.file}: " + ("  ·  ".join(parts) or "nothing of note")), False


def complete_directory(typed: str, recent: Iterable[str] = ()) -> str | None:
    """A whole directory that starts with what was typed: a workspace used before, else the first on disk.

    What was typed stays as it is at the start, `~` included. Blocking.
    """
    if not typed.strip():
        return None
    for path in recent:
        if path.startswith(typed) and path != typed:
            return path
    folder, start = os.path.split(typed)
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            names = sorted(
                entry.name
                for _, entry in zip(range(_LOOKED_AT), entries, strict=False)
                if entry.name.startswith(start)
                and entry.name != start
                and (start or not entry.name.startswith("."))
                and entry.name.isprintable()
                and entry.is_dir()
            )
    except (OSError, ValueError):
        return None
    names = [name for name in names if start.startswith(".") or not name.startswith(".")]
    return typed[: len(typed) - len(start)] + names[0] if names else None
