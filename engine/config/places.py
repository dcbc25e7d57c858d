"""Host directories and files that a container may see: the workspace and extra mounts.

Some places would undo the container: Moat's own home holds the sealed credentials and the audit logs, a
daemon's socket is root on this machine, the session's bus opens the keychain, `/proc` shows other
processes. A mount of one of these, or of a
directory that holds one, is refused whoever asks for it. Paths are resolved before they are judged,
and what is returned is the resolved path, so a link swapped later in the workspace changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.config.values import shown
from engine.errors import UsageError
from engine.home import Home

WORKSPACE = "/workspace"
_KERNEL = (Path("/proc"), Path("/sys"), Path("/dev"))
_TARGETS_TAKEN = ("/moat", "/run/moat", "/proc", "/sys", "/dev")

_SESSION_SOCKETS = (
    "bus", "systemd/private", "docker.sock", "podman/podman.sock", "keyring/control", "keyring/ssh",
    "gnupg/S.gpg-agent",
)  # fmt: skip

_PATH = 400  # characters of a path that an error shows: its end matters most


class Mount(msgspec.Struct, frozen=True):
    """source: absolute and resolved, on the host; target: absolute and normalised, in the container."""

    source: Path
    target: str
    read_only: bool = False


def parse_mount(text: str, workspace: Path, forbidden: Sequence[Path] | None = None) -> Mount:
    """`SRC:DST[:ro|rw]`, SRC relative to `workspace`, absolute, or from `~`. Raises UsageError.

    forbidden: places that must not be seen inside; None is the default home, `~/.moat` or MOAT_HOME.
    """
    parts = text.split(":")
    mode = parts.pop() if len(parts) > 2 and not parts[-1].startswith("/") else "rw"
    if len(parts) < 2:
        raise UsageError(f"mount {shown(text, _PATH)}: expected SRC:DST, SRC:DST:ro or SRC:DST:rw")
    return build_mount(":".join(parts[:-1]), parts[-1], mode, workspace, forbidden)


def build_mount(
    source: str, target: str, mode: str, workspace: Path, forbidden: Sequence[Path] | None = None
) -> Mount:
    """The same from its parts; `source` may hold colons."""
    label = f"mount {shown(source, _PATH)}"
    if mode not in ("ro", "rw"):
        raise UsageError(f"{label}: expected the mode ro or rw, found {shown(mode)}")
    if not source or not (source + target).isprintable():
        raise UsageError(f"{label}: expected a path, found an empty one or a control character")
    inside = check_target(target, label)
    path = _resolve(source, workspace, label)
    kind = path.stat().st_mode
    if not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
        raise UsageError(f"{label}: expected a file or directory, found a socket, pipe or device")
    worktree = any(is_worktree(workspace, place) for place in forbidden or ())
    _refuse_protected(path, forbidden, label, workspace if worktree else None)
    if inside == WORKSPACE and path != workspace.resolve():
        raise UsageError(
            f"{label}: {inside} in the container is taken by the workspace",
            remedy="Choose another DST, such as /data; .:/workspace:ro makes the workspace itself read-only.",
        )
    return Mount(path, inside, mode == "ro")


def check_workspace(path: Path, home: Path | None = None, *, worktree: bool = False) -> Path:
    """`path` resolved, when it is a directory that a container may have. Raises UsageError.

    home: the root of Moat's home, which must neither hold the workspace nor lie in it. worktree: it is the
    one thing that does.
    """
    label = f"workspace {shown(str(path), _PATH)}"
    resolved = _resolve(str(path), Path.cwd(), label)
    if not resolved.is_dir():
        raise UsageError(f"{label}: expected a directory, found a file")
    if not os.access(resolved, os.R_OK | os.X_OK):
        raise UsageError(f"{label}: expected a directory you may read, found one you may not")
    allowed = resolved if home is not None and worktree and is_worktree(resolved, home) else None
    _refuse_protected(resolved, None if home is None else (home,), label, allowed)
    return resolved


def is_worktree(path: Path, home: Path) -> bool:
    """Whether `path` is the files of a worktree that Moat made (engine/worktrees/place.py)."""
    tree = path.parent.parent.parent == (home / "worktrees").resolve()
    return tree and path.name == "tree"


def check_rootfs(path: Path, home: Path) -> Path:
    """`path` resolved, when it is a directory that can be a run's system. Raises UsageError."""
    label = f"rootfs {shown(str(path), _PATH)}"
    resolved = _resolve(str(path), Path.cwd(), label)
    if not resolved.is_dir() or not any(os.path.lexists(resolved / name) for name in ("usr", "bin")):
        raise UsageError(
            f"{label}: expected a directory tree with programs, found no usr and no bin in it",
            remedy="Make one, for example: debootstrap bookworm DIR, or docker export NAME | tar x -C DIR.",
        )
    _refuse_protected(resolved, (home,), label)
    return resolved


def protected_places(home: Path) -> tuple[str, ...]:
    """Places of this machine that no run may see, wherever they are: Moat's, people's, daemons' sockets."""
    places = [home, *_usual_home(), Path("/home"), Path("/root"), *_daemon_sockets()]
    with contextlib.suppress(RuntimeError):
        places.append(Path.home())
    return tuple(dict.fromkeys(map(str, places)))


def check_target(target: str, label: str) -> str:
    """`target` normalised, when something may be shown there in the container. Raises UsageError.

    label: what is to be shown, for the message.
    """
    if not target.startswith("/"):
        raise UsageError(
            f"{label}: expected an absolute path in the container, found {shown(target)}",
            remedy="Write SRC:DST with a DST such as /data.",
        )
    normal = "/" + posixpath.normpath(target).strip("/")
    taken = [place for place in _TARGETS_TAKEN if (normal + "/").startswith(place + "/")]
    if normal in ("/", "/run") or taken:
        raise UsageError(
            f"{label}: {normal} in the container is taken", remedy="Choose another DST, such as /data."
        )
    return normal


def _resolve(source: str, base: Path, label: str) -> Path:
    try:
        return (base / Path(source).expanduser()).resolve(strict=True)
    except FileNotFoundError:
        raise UsageError(
            f"{label}: no such file or directory", remedy=f"A relative path starts at {base}."
        ) from None
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, an unknown ~user, a NUL
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{label}: it cannot be reached: {reason}") from None


def _refuse_protected(
    path: Path, forbidden: Sequence[Path] | None, label: str, allowed: Path | None = None
) -> None:
    """allowed: what may be seen although it lies in Moat's home."""
    if path == Path("/"):
        raise UsageError(f"{label}: the whole file system cannot be given to an agent")
    if any(path.is_relative_to(place) for place in _KERNEL):
        raise UsageError(f"{label}: the host's {path.parts[1]} cannot be given to an agent")
    for place in (*((Home.default().root,) if forbidden is None else forbidden), *_usual_home()):
        real = place.resolve()
        if allowed is not None and path.is_relative_to(allowed) and allowed.is_relative_to(real):
            continue
        if _lies_in(path, real) or _lies_in(real, path):
            raise UsageError(
                f"{label}: {real} holds Moat's credentials and logs and cannot be given to an agent",
                remedy="Choose a directory that neither holds it nor lies in it.",
            )
    for socket in _daemon_sockets():
        if _lies_in(socket, path):
            raise UsageError(f"{label}: it holds {socket}, which would give the agent this machine")


def _lies_in(inner: Path, outer: Path) -> bool:
    """Also where one directory has two paths: a bind mount, or a file system that ignores case."""
    if inner.is_relative_to(outer):
        return True
    try:
        there = outer.stat()
    except OSError:
        return False
    for place in (inner, *inner.parents):
        with contextlib.suppress(OSError):
            if os.path.samestat(place.stat(), there):
                return True
    return False


def _usual_home() -> list[Path]:
    """`~/.moat` holds somebody's credentials also while MOAT_HOME names another place."""
    try:
        usual = Path.home() / ".moat"
    except RuntimeError:
        return []
    return [usual] if os.path.lexists(usual) else []


def _daemon_sockets() -> list[Path]:
    """The sockets that exist here, resolved, of what runs programs or opens keychains for whoever asks:
    container daemons, the buses of the system and of the session, the session's key agents.
    """
    places = [
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/podman/podman.sock",
        "/run/crio/crio.sock",
        "~/.docker/run/docker.sock",
        "~/.docker/desktop/docker.sock",
        "/run/dbus/system_bus_socket",
        "/run/systemd/private",
    ]
    runtime_dirs = {f"/run/user/{os.geteuid()}", os.environ.get("XDG_RUNTIME_DIR") or "/run/user"}
    places += [f"{place}/{name}" for place in sorted(runtime_dirs) for name in _SESSION_SOCKETS]
    places.append(os.environ.get("SSH_AUTH_SOCK", ""))
    host = os.environ.get("DOCKER_HOST", "")
    if host.startswith("unix://"):
        places.append(host.removeprefix("unix://"))
    return [Path(found).resolve() for found in map(os.path.expanduser, places) if os.path.exists(found)]
