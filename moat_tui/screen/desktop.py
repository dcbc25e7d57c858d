"""Showing a directory in the desktop's file manager, where there is a desktop.

Not in an editor: a workspace belongs to its agent, and editors run what they find there (modelines, tasks,
local settings). A file manager only lists it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

WAIT = 3.0  # seconds the opener may take to say that it cannot


def opener(environment: Mapping[str, str], platform: str = sys.platform) -> str:
    """The program that opens a directory, empty when there is none or nothing to show it on."""
    if environment.get("SSH_CONNECTION"):
        return ""  # the desktop, if any, is not where the person sits
    if platform == "darwin":
        return shutil.which("open") or ""
    if environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"):
        return shutil.which("xdg-open") or ""
    return ""


def open_directory(program: str, path: str) -> bool:
    """True unless the program says at once that it failed. Blocking, `WAIT` at most."""
    if not os.path.isabs(path) or not os.path.isdir(path):
        return False
    try:
        process = subprocess.Popen(
            [program, path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        return process.wait(WAIT) == 0
    except subprocess.TimeoutExpired:
        return True
    except OSError:
        return False
