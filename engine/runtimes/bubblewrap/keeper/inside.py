"""Into a sandbox from outside, and there becoming a command beside its agent."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import warnings  # noqa: F401 - os.execvpe imports it, and in the sandbox there is nothing to import it from
from typing import Any, NoReturn

from .kernel import die_with_parent, drop_capabilities, filter_calls, limit, session

_NS_GET_USERNS = 0xB701  # ioctl_ns(2)
_TIOCSPTLCK, _TIOCGPTN = 0x40045431, 0x80045430  # asm-generic/ioctls.h
_NOT_FOUND, _NOT_RUN = 127, 126  # a shell's exit codes


class Dying:
    """What must never return to the keeper's own loop: the body ends by another program, or here."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> NoReturn:
        if error is not None:
            complain(str(error))
        os._exit(_NOT_RUN)


def complain(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"moat: {text}\n".encode())


def enter_sandbox(first: int) -> None:
    """Into every namespace of the sandbox whose first process that is; only the next fork is in all of them.

    Each belongs to one of up to three user namespaces in one another, and only from there it can be entered.
    """
    place = f"/proc/{first}/ns"
    kinds = ("net", "mnt", "ipc", "uts", "cgroup", "pid")
    last = os.open(f"{place}/user", os.O_RDONLY | os.O_CLOEXEC)
    namespaces = [os.open(f"{place}/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]
    inside = os.stat("/proc/self/ns/user").st_ino
    for descriptor in namespaces:
        owner = fcntl.ioctl(descriptor, _NS_GET_USERNS)
        if (found := os.fstat(owner).st_ino) != inside:
            os.setns(owner, os.CLONE_NEWUSER)
            inside = found
        os.setns(descriptor)
        os.close(owner)
    os.setns(last, os.CLONE_NEWUSER)


def run_inside(asked: dict[str, Any], files: list[int], terminal: int | None) -> NoReturn:
    """The command, as a process of the sandbox; this one stays outside and tells how it ends."""
    pid = os.fork()
    if pid:
        for descriptor in {*files, 0, 1, 2}:
            os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else 128 - code)
    session(terminal)
    for target, source in enumerate(files):
        os.dup2(source, target)
    limit(asked)
    drop_capabilities()
    die_with_parent()
    filter_calls(bytes.fromhex(asked["kernel_filter"]))
    filter_calls(bytes.fromhex(asked["agent_filter"]))
    try:
        os.chdir(asked["directory"])
        os.closerange(3, 1 << 16)
        os.execvpe(asked["command"][0], asked["command"], asked["env"])
    except OSError as error:
        complain(f"{asked['command'][0]}: {error.strerror}")
        os._exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_RUN)


def open_terminal(master: int) -> int:
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    number = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, b"\0\0\0\0"))[0]
    return os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
