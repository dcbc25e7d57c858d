"""Removing a tree that an agent made: over no link, however deep it is and whatever its modes are."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def empty_folder(folder: int) -> None:
    """Remove all that is below `folder`, a descriptor. Raises OSError for what cannot be.

    What lies in a folder is first moved up beside it, so that no path is long and few descriptors are open.
    """
    while names := os.listdir(folder):
        for name in names:
            if not _is_folder(folder, name):
                _gone(os.unlink, name, folder)
                continue
            _make_open(folder, name)
            inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                _move_up(inner, folder)
            finally:
                os.close(inner)
            _gone(os.rmdir, name, folder)


def _move_up(inner: int, folder: int) -> None:
    """Files go here and now; folders wait for their turn above."""
    for name in os.listdir(inner):
        if _is_folder(inner, name):
            _make_open(inner, name)  # a folder that moves is written to, for its own `..`
            os.rename(name, f".{secrets.token_hex(16)}", src_dir_fd=inner, dst_dir_fd=folder)
        else:
            _gone(os.unlink, name, inner)


def _is_folder(folder: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _make_open(folder: int, name: str) -> None:
    """For its owner, whatever the agent has left. A link that took its place meanwhile is left alone."""
    if not hasattr(os, "O_PATH"):
        os.chmod(name, 0o700, dir_fd=folder, follow_symlinks=False)
        return
    held = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{held}", 0o700)
    finally:
        os.close(held)


def _gone(remove: Callable[..., None], name: str, folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):  # somebody else is at it too
        remove(name, dir_fd=folder)
