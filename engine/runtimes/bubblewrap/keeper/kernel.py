"""What a process gives up, and what it is given, before it becomes another program."""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import stat
import struct
import termios
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION = 0x20080522  # linux/capability.h
_MS_NOSUID, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 8, 0x1000, 0x4000, 0x40000  # linux/mount.h
_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")

_libc = ctypes.CDLL(None, use_errno=True)


def session(terminal: int | None) -> None:
    """Of its own, so that no key typed at Moat's terminal is a signal here; with `terminal`, in its hands."""
    os.setsid()
    if terminal is not None:
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def limit(asked: dict[str, Any]) -> None:
    for name, value in asked["limits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    if asked["cpus"]:
        os.sched_setaffinity(0, asked["cpus"])


def drop_capabilities() -> None:
    number = 0
    while _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("II", _CAPABILITY_VERSION, 0)
    checked(_libc.capset(header, bytes(24)))


def filter_calls(program: bytes) -> None:
    """As `struct sock_filter`s; for this process and all that come of it, for ever."""
    checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    held = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    checked(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, described, 0, 0))


def die_with(parent: int) -> None:
    """Of this process, and set anew in every one that changes its rights: the kernel then forgets it."""
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


def die_with_parent() -> None:
    checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def keep_secret() -> None:
    """Whoever is in the sandbox must not look into the processes that come to it from here."""
    checked(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def own_devices() -> None:
    """bubblewrap shows the system's device nodes, and root in the sandbox, who owns them, could change their
    modes for everybody. So it is given nodes that nobody else has.
    """
    os.unshare(os.CLONE_NEWNS)
    mount("", "/", "", _MS_REC | _MS_PRIVATE)
    mount("tmpfs", "/sys", "tmpfs", _MS_NOSUID | _MS_NOEXEC)  # a place that the sandbox does not see
    for name in _DEVICES:
        system, own = f"/dev/{name}", f"/sys/{name}"
        os.mknod(own, 0o666 | stat.S_IFCHR, os.stat(system).st_rdev)
        os.chmod(own, 0o666)
        mount(own, system, "", _MS_BIND)


def mount(source: str, target: str, kind: str, flags: int) -> None:
    checked(_libc.mount(source.encode(), target.encode(), kind.encode(), flags, None))


def checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
