"""The filters, read as the kernel reads them: each promise on both architectures."""

from __future__ import annotations

import errno
import struct

import pytest

from engine.errors import RuntimeUnavailable
from engine.runtimes.bubblewrap import seccomp
from engine.runtimes.bubblewrap.seccomp import ARCHITECTURES, agent_filter, kernel_filter

ALLOWED, KILLED = "allowed", "killed"
BOTH = pytest.mark.parametrize("machine", ARCHITECTURES)
# read, write, close, openat, execve, exit_group, futex, prctl, ptrace
ORDINARY = {
    "x86_64": (0, 1, 3, 257, 59, 231, 202, 157, 101),
    "aarch64": (63, 64, 57, 56, 221, 94, 98, 167, 117),
}


def judge(program: bytes, machine: str, number: int, *arguments: int, audit: int | None = None) -> object:
    """What the filter answers: ALLOWED, KILLED, or the errno."""
    audit = ARCHITECTURES[machine].audit if audit is None else audit
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, audit, 0, *padded)
    steps = list(struct.iter_unpack("<HBBI", program))
    place = held = 0
    while True:
        code, true, false, value = steps[place]
        place += 1
        match code:
            case 0x20:
                (held,) = struct.unpack_from("<I", data, value)
            case 0x15:
                place += true if held == value else false
            case 0x35:
                place += true if held >= value else false
            case 0x45:
                place += true if held & value else false
            case 0x06:
                if value == 0x7FFF0000:
                    return ALLOWED
                return KILLED if value == 0x80000000 else value & 0xFFFF
            case _:
                raise AssertionError(f"no such step: {code:#x}")


def number(name: str, machine: str) -> int | None:
    return {**seccomp._NEVER, **seccomp._ONCE_INSIDE}[name][ARCHITECTURES[machine].column]


@BOTH
@pytest.mark.parametrize("name", seccomp.DENIED)
def test_what_docker_denies_is_denied(machine, name):
    call = number(name, machine)
    if call is not None and call <= ARCHITECTURES[machine].highest:
        assert judge(agent_filter(machine), machine, call) == errno.EPERM


@BOTH
def test_the_first_process_may_set_the_sandbox_up_and_nothing_more(machine):
    program = kernel_filter(machine)
    assert {judge(program, machine, number(name, machine)) for name in seccomp._ONCE_INSIDE} == {ALLOWED}
    for name in ("bpf", "keyctl", "perf_event_open", "userfaultfd", "open_by_handle_at", "kexec_load"):
        assert judge(program, machine, number(name, machine)) == errno.EPERM
    assert judge(program, machine, seccomp._SOCKET[ARCHITECTURES[machine].column], 40) == errno.EAFNOSUPPORT


@BOTH
@pytest.mark.parametrize("build", [agent_filter, kernel_filter])
def test_ordinary_programs_work(machine, build):
    assert {judge(build(machine), machine, call) for call in ORDINARY[machine]} == {ALLOWED}


@BOTH
@pytest.mark.parametrize("build", [agent_filter, kernel_filter])
def test_another_architectures_table_is_death_and_a_new_call_does_not_exist(machine, build):
    program = build(machine)
    other = next(each.audit for name, each in ARCHITECTURES.items() if name != machine)
    for audit in (other, 0x40000003):  # i386
        assert judge(program, machine, ORDINARY[machine][0], audit=audit) == KILLED
    assert judge(program, machine, 0x40000000 | ORDINARY[machine][0]) == KILLED  # x32
    assert judge(program, machine, ARCHITECTURES[machine].highest + 1) == errno.ENOSYS


@BOTH
def test_no_namespace_is_made_by_clone_and_threads_are(machine):
    program, column = agent_filter(machine), ARCHITECTURES[machine].column
    for flag in (0x80, 0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert judge(program, machine, seccomp._CLONE[column], flag | 17) == errno.EPERM
    assert judge(program, machine, seccomp._CLONE[column], 0x3D0F00) == ALLOWED  # a thread's flags
    assert judge(program, machine, seccomp._CLONE3[column], 0) == errno.ENOSYS


@BOTH
def test_sockets_are_unix_ip_and_routes(machine):
    program, call = agent_filter(machine), seccomp._SOCKET[ARCHITECTURES[machine].column]
    assert {judge(program, machine, call, family, 1, 0) for family in (1, 2, 10)} == {ALLOWED}
    assert judge(program, machine, call, 16, 3, 0) == ALLOWED
    assert judge(program, machine, call, 16, 3, 9) == errno.EAFNOSUPPORT  # audit
    assert {judge(program, machine, call, family) for family in (0, 17, 31, 38, 40, 44)} == {
        errno.EAFNOSUPPORT
    }


@BOTH
def test_nobody_types_into_a_terminal_or_turns_off_random_addresses(machine):
    program, column = agent_filter(machine), ARCHITECTURES[machine].column
    assert judge(program, machine, seccomp._IOCTL[column], 0, 0x5412) == errno.EPERM
    assert judge(program, machine, seccomp._IOCTL[column], 0, 0xFFFFFFFF00005412) == errno.EPERM
    assert judge(program, machine, seccomp._IOCTL[column], 0, 0x5413) == ALLOWED
    assert judge(program, machine, seccomp._PERSONALITY[column], 0xFFFFFFFF) == ALLOWED
    assert judge(program, machine, seccomp._PERSONALITY[column], 0x0040000) == errno.EPERM


def test_the_kernels_limit_on_a_filters_length_is_kept():
    assert all(len(agent_filter(machine)) // 8 < 4096 for machine in ARCHITECTURES)


def test_a_machine_without_a_list_is_refused():
    with pytest.raises(RuntimeUnavailable, match="riscv64"):
        agent_filter("riscv64")
