"""The system calls that a sandbox may not make, as the kernel's own filter language. Pure.

Two filters, because the first process in a sandbox is bubblewrap's own, which must mount and make
namespaces: `kernel_filter` is on that process and everything below it, `agent_filter` on the agent and on
commands beside it. What an agent that took over the first process would gain is what stands between the two,
and there the kernel has taken away every capability and every further user namespace.

What is denied is what Docker's default profile denies to a container without capabilities
(moby/profiles, seccomp/default_linux.go), and io_uring, netlink but for routes, and socket families other
than IP and unix. Numbers that were not given to a call yet when this was written do not exist here.

A program is a row of `struct sock_filter` (linux/filter.h), read over `struct seccomp_data`
(linux/seccomp.h): the number at 0, the architecture at 4, six arguments of 64 bits from 16 on.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable
from typing import NamedTuple

from engine.errors import RuntimeUnavailable

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
_ALLOW, _ERROR, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000

_NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW* flag (linux/sched.h)
_X32 = 0x40000000  # the bit of x86's third call table, whose numbers a list of x86_64's would miss
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_NETLINK, _NETLINK_ROUTE = 16, 0
_PERSONALITIES = (
    0x0,
    0x0008,
    0x20000,
    0x20008,
    0xFFFFFFFF,
)  # Docker's: Linux, its 32 bits, UNAME26, "which?"
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: type into a terminal as if one were its person


class Architecture(NamedTuple):
    """audit: its AUDIT_ARCH_* (linux/audit.h). column: of the tables below. highest: the last known call."""

    audit: int
    column: int
    highest: int = 469  # file_setattr, Linux 6.17


ARCHITECTURES = {"x86_64": Architecture(0xC000003E, 0), "aarch64": Architecture(0xC00000B7, 1)}

# name: number on x86_64 (asm/unistd_64.h), on aarch64 (asm-generic/unistd.h); None where it does not exist
_NEVER: dict[str, tuple[int | None, int | None]] = {
    "_sysctl": (156, None), "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171),
    "bpf": (321, 280), "clock_adjtime": (305, 266), "clock_settime": (227, 112), "create_module": (174, None),
    "delete_module": (176, 106), "fanotify_init": (300, 262), "finit_module": (313, 273),
    "get_kernel_syms": (177, None), "init_module": (175, 105), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "io_uring_setup": (425, 425), "ioperm": (173, None), "iopl": (172, None),
    "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219),
    "lookup_dcookie": (212, 18), "mbind": (237, 235), "migrate_pages": (256, 238), "modify_ldt": (154, None),
    "move_pages": (279, 239), "nfsservctl": (180, 42), "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241), "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "query_module": (178, None),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "reboot": (169, 142), "request_key": (249, 218),
    "set_mempolicy": (238, 237), "settimeofday": (164, 170), "swapoff": (168, 225), "swapon": (167, 224),
    "sysfs": (139, None), "syslog": (103, 116), "uselib": (134, None), "userfaultfd": (323, 282),
    "ustat": (136, None), "vhangup": (153, 58),
}  # fmt: skip
_ONCE_INSIDE: dict[str, tuple[int | None, int | None]] = {
    "chroot": (161, 51), "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430),
    "fspick": (433, 433), "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429),
    "open_tree": (428, 428), "open_tree_attr": (467, 467), "pivot_root": (155, 41),
    "setdomainname": (171, 162), "sethostname": (170, 161), "setns": (308, 268), "umount2": (166, 39),
    "unshare": (272, 97),
}  # fmt: skip
_CLONE, _CLONE3, _SOCKET, _IOCTL, _PERSONALITY = (56, 220), (435, 435), (41, 198), (16, 29), (135, 92)

DENIED = (*_NEVER, *_ONCE_INSIDE)


def kernel_filter(machine: str) -> bytes:
    """For everything in the sandbox, bubblewrap's own first process included. machine: as uname -m."""
    here = _architecture(machine)
    return b"".join([*_preamble(here), *_deny(_NEVER.values(), here), *_sockets(here), _answer(_ALLOW)])


def agent_filter(machine: str) -> bytes:
    """For the agent and the commands beside it. machine: as uname -m. Raises RuntimeUnavailable."""
    here = _architecture(machine)
    denied = [*_NEVER.values(), *_ONCE_INSIDE.values()]
    parts = [*_preamble(here), *_deny(denied, here), *_sockets(here), *_namespaces(here)]
    return b"".join([*parts, *_terminal(here), *_personality(here), _answer(_ALLOW)])


def _architecture(machine: str) -> Architecture:
    found = ARCHITECTURES.get({"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine))
    if found is None:
        raise RuntimeUnavailable(
            f"the runtime 'bubblewrap' has no system call filter for {machine}",
            remedy=f"It runs on {' and '.join(ARCHITECTURES)}; use the runtime 'docker' here.",
        )
    return found


def _preamble(here: Architecture) -> list[bytes]:
    """Kill what comes by another architecture's table; deny what this list cannot know."""
    return [
        _word(_ARCHITECTURE),
        _step(_EQUAL, here.audit, 1, 0),
        _answer(_KILL_PROCESS),
        _word(_NUMBER),
        _step(_AT_LEAST, _X32, 0, 1),
        _answer(_KILL_PROCESS),
        _step(_AT_LEAST, here.highest + 1, 0, 1),
        _answer(_ERROR | errno.ENOSYS),
    ]


def _deny(calls: Iterable[tuple[int | None, int | None]], here: Architecture) -> list[bytes]:
    numbers = sorted(number for number in (call[here.column] for call in calls) if number is not None)
    return [
        piece for number in numbers for piece in (_step(_EQUAL, number, 0, 1), _answer(_ERROR | errno.EPERM))
    ]


def _sockets(here: Architecture) -> list[bytes]:
    families = [
        _step(_EQUAL, family, len(_FAMILIES) - place + 3, 0) for place, family in enumerate(_FAMILIES)
    ]
    return _about(
        _SOCKET[here.column],
        [
            _argument(0),
            *families,
            _step(_EQUAL, _NETLINK, 0, 2),
            _argument(2),
            _step(_EQUAL, _NETLINK_ROUTE, 1, 0),
            _answer(_ERROR | errno.EAFNOSUPPORT),
            _answer(_ALLOW),
        ],
    )


def _namespaces(here: Architecture) -> list[bytes]:
    """clone3 has its flags behind a pointer, where a filter cannot look: libraries fall back to clone."""
    clone = [
        _argument(0),
        _step(_ANY_BIT, _NEW_NAMESPACES, 0, 1),
        _answer(_ERROR | errno.EPERM),
        _answer(_ALLOW),
    ]
    return [
        *_about(_CLONE[here.column], clone),
        *_about(_CLONE3[here.column], [_answer(_ERROR | errno.ENOSYS)]),
    ]


def _terminal(here: Architecture) -> list[bytes]:
    denied = [
        piece
        for code in _TERMINAL_INPUT
        for piece in (_step(_EQUAL, code, 0, 1), _answer(_ERROR | errno.EPERM))
    ]
    return _about(_IOCTL[here.column], [_argument(1), *denied, _answer(_ALLOW)])


def _personality(here: Architecture) -> list[bytes]:
    """Docker's choice: without it programs could turn off the randomising of addresses."""
    known = [piece for value in _PERSONALITIES for piece in (_step(_EQUAL, value, 0, 1), _answer(_ALLOW))]
    return _about(_PERSONALITY[here.column], [_argument(0), *known, _answer(_ERROR | errno.EPERM)])


def _about(number: int, steps: list[bytes]) -> list[bytes]:
    """`steps`, which end in an answer, for the call of that number alone; others still have theirs loaded."""
    return [_step(_EQUAL, number, 0, len(steps)), *steps]


def _word(offset: int) -> bytes:
    return _step(_LOAD, offset, 0, 0)


def _argument(place: int) -> bytes:
    """Its low 32 bits: all that a family, a flag or a request has, and all that the kernel takes of it."""
    return _word(16 + 8 * place)


def _answer(value: int) -> bytes:
    return _step(_RETURN, value, 0, 0)


def _step(code: int, value: int, true: int, false: int) -> bytes:
    return struct.pack("<HBBI", code, true, false, value)
