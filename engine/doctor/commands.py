"""Running the system's own commands: without a terminal, always with a time limit, as root when asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Mapping, Sequence

import msgspec

from engine.doctor.machine import Machine
from engine.errors import RuntimeFailure


class Finished(msgspec.Struct, frozen=True):
    """A command that ended: its exit code and decoded output."""

    code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def last_words(self) -> str:
        """The end of what it said, the way a person would quote it; at most 400 characters."""
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("E:", "error", "ERROR"))]
        return " / ".join((errors or lines)[-3:])[-400:]


async def run(
    machine: Machine, argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None
) -> Finished:
    """Run `argv` to its end, or raise RuntimeFailure after `timeout` seconds or when it does not exist."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(machine, env),
            start_new_session=True,  # so that a time-out can end its children too
        )
    except OSError as error:
        raise RuntimeFailure(
            f"{argv[0]} could not be started", detail=error.strerror or str(error)
        ) from error
    try:
        async with asyncio.timeout(timeout):
            stdout, stderr = await process.communicate()
    except TimeoutError as error:
        raise RuntimeFailure(
            f"`{shlex.join(argv)}` did not finish within {timeout:.0f} s",
            remedy="Run it by hand to see what it waits for.",
        ) from error
    finally:
        await end(process)
    return Finished(process.returncode or 0, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


async def run_as_root(
    machine: Machine, argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None
) -> Finished:
    """`run`, through `sudo -n` when not root. Raises RuntimeFailure when that is refused."""
    if machine.uid == 0:
        return await run(machine, argv, timeout=timeout, env=env)
    finished = await run(machine, [*root_prefix(machine, argv, env), *argv], timeout=timeout)
    if not finished.ok and finished.stderr.startswith("sudo:"):
        raise _needs_root(argv, detail=finished.last_words)
    return finished


def root_prefix(machine: Machine, argv: Sequence[str], env: Mapping[str, str] | None = None) -> list[str]:
    """What to put before a command so that it runs as root with `env`; raises RuntimeFailure without sudo."""
    if machine.uid == 0:
        return []
    sudo = machine.which("sudo")
    if sudo is None:
        raise _needs_root(argv, detail="there is no sudo on this machine")
    return [sudo, "-n", "env", *(f"{key}={value}" for key, value in (env or {}).items())]


def environment(machine: Machine, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment with the machine's PATH and untranslated messages; make's own are left out."""
    kept = {
        key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    }
    return kept | {"PATH": machine.path, "LC_ALL": "C.UTF-8"} | dict(extra or {})


async def end(process: asyncio.subprocess.Process) -> None:
    """Make sure that a process and its children are gone and its pipes are closed; quick when it ended."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, sign)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                # Its output first: a pipe that nobody reads to its end stays open, and keeps wait() waiting.
                for pipe in (process.stdout, process.stderr):
                    await _drain(pipe)
                await process.wait()
                return


async def _drain(pipe: asyncio.StreamReader | None) -> None:
    if pipe is None or pipe.at_eof():
        return
    with contextlib.suppress(RuntimeError):  # somebody else is reading it, and will see its end
        while await pipe.read(1 << 16):
            pass


def _needs_root(argv: Sequence[str], *, detail: str) -> RuntimeFailure:
    return RuntimeFailure(
        f"{argv[0]} needs root",
        detail=detail,
        remedy=f"Run as root: {shlex.join(argv)} , then `moat doctor --fix`.",
    )
