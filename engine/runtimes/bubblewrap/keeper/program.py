"""Becoming bubblewrap."""

from __future__ import annotations

import fcntl
import os
from typing import NamedTuple, NoReturn


class Program(NamedTuple):
    """bubblewrap. file: a descriptor of it; libraries: where it has libraries of its own, "" for nowhere."""

    file: int
    libraries: str


def run_bubblewrap(
    program: Program, words: list[str], command: list[str], kept: list[int], env: dict[str, str]
) -> NoReturn:
    """kept: the descriptors that `words` name; bubblewrap closes each after use."""
    if program.libraries:
        theirs = env.get("LD_LIBRARY_PATH")
        words = [
            *words,
            *(
                ["--unsetenv", "LD_LIBRARY_PATH"]
                if theirs is None
                else ["--setenv", "LD_LIBRARY_PATH", theirs]
            ),
        ]
        env = {**env, "LD_LIBRARY_PATH": program.libraries}
    options = os.memfd_create("options", 0)  # not among the arguments, which everybody's `ps` shows
    os.write(options, b"".join(os.fsencode(word) + b"\0" for word in words))
    os.lseek(options, 0, os.SEEK_SET)
    for descriptor in (options, *kept):
        os.set_inheritable(descriptor, True)
    os.execve(program.file, ["bwrap", "--args", str(options), "--", *command], env)


def opened_program(path: str) -> int:
    """bubblewrap, to be run from here. Its file is /proc/1/exe in the sandbox, where root, or whoever owns
    the file, could open it for writing: where that is us, what runs is a sealed copy.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if not os.access(path, os.W_OK):
        return descriptor
    copy = os.memfd_create("bwrap", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    while os.sendfile(copy, descriptor, None, 1 << 20):
        pass
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    os.close(descriptor)
    # Opened again for reading: a file that is open for writing cannot be run.
    descriptor = os.open(f"/proc/self/fd/{copy}", os.O_RDONLY | os.O_CLOEXEC)
    os.close(copy)
    return descriptor
