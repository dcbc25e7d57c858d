"""Starting the Docker daemon, and making it read its configuration again.

Where systemd runs, it does both. Elsewhere (containers, CI machines, WSL) dockerd is started in a
session of its own, with its output in a log file: it outlives the command that started it and holds
none of its pipes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from engine.doctor.commands import run, run_as_root
from engine.doctor.docker_engine import EngineFacts, EngineProblem, EngineTrouble, ask_engine
from engine.doctor.machine import Machine
from engine.errors import RuntimeFailure

START_TIMEOUT = 60.0
RELOAD_TIMEOUT = 15.0

# $0 is the log, the rest the command. The shell in the background becomes setsid, which becomes the
# daemon, so $! is the daemon's own process id.
_LAUNCH = 'cd / && mkdir -p "$(dirname "$0")" && { setsid "$@" >>"$0" 2>&1 </dev/null & echo "$!"; }'


async def start_daemon(machine: Machine, *, timeout: float = START_TIMEOUT) -> None:
    """Start the daemon and wait until it answers; raises RuntimeFailure with its last words."""
    if machine.has_systemd:
        finished = await run_as_root(machine, ["systemctl", "enable", "--now", "docker"], timeout=timeout)
        if not finished.ok:
            raise RuntimeFailure(
                "systemd could not start Docker",
                detail=finished.last_words,
                remedy="journalctl -u docker tells why.",
            )
        await _wait_for_answer(machine, timeout, pid=0, log_from=0)
        return
    dockerd = machine.which("dockerd")
    if dockerd is None:
        raise RuntimeFailure("there is no dockerd to start", remedy="apt-get install docker.io")
    log_from = machine.dockerd_log.stat().st_size if machine.dockerd_log.exists() else 0
    arguments = [*machine.dockerd_args]
    if machine.uid != 0:
        # Without this the socket belongs to root and the group docker, which takes a new login to join.
        arguments += ["--group", await _group_of(machine)]
    launched = await run_as_root(
        machine, ["sh", "-c", _LAUNCH, str(machine.dockerd_log), dockerd, *arguments], timeout=15
    )
    if not launched.ok or not launched.stdout.strip().isdigit():
        raise RuntimeFailure("dockerd could not be started", detail=launched.last_words)
    await _wait_for_answer(machine, timeout, pid=int(launched.stdout), log_from=log_from)


async def reload_daemon(machine: Machine, *, expect_runtime: dict[str, object]) -> None:
    """Make the running daemon take up its changed configuration.

    A SIGHUP is enough for runtimes and disturbs no container (dockerd's documentation, "Configuration
    reload behavior"); done when the daemon lists `runsc` with the path and arguments of `expect_runtime`.
    """
    if machine.has_systemd:
        finished = await run_as_root(machine, ["systemctl", "reload", "docker"], timeout=30)
    else:
        try:
            pid = int(machine.dockerd_pid.read_text().strip())
        except (OSError, ValueError) as error:
            raise RuntimeFailure(
                f"{machine.daemon_json} was changed, but the running dockerd could not be found",
                detail=f"{machine.dockerd_pid}: {error}",
                remedy="Restart the Docker daemon yourself.",
            ) from error
        finished = await run_as_root(machine, ["kill", "-HUP", str(pid)], timeout=10)
    if not finished.ok:
        raise RuntimeFailure("the Docker daemon could not be told to reload", detail=finished.last_words)
    deadline = time.monotonic() + RELOAD_TIMEOUT
    while True:
        listed = (await ask_engine(machine)).runtimes.get("runsc")
        if listed is not None and all(
            (listed.get(key) or []) == (expect_runtime.get(key) or []) for key in _KEYS
        ):
            return
        if time.monotonic() > deadline:
            raise RuntimeFailure(
                f"the Docker daemon did not take up {machine.daemon_json}",
                detail=_log_tail(machine.dockerd_log, 0),
                remedy="sudo systemctl restart docker (or end dockerd, then `moat doctor --fix`).",
            )
        await asyncio.sleep(0.2)


_KEYS = ("path", "runtimeArgs")


async def _wait_for_answer(machine: Machine, timeout: float, *, pid: int, log_from: int) -> EngineFacts:
    deadline = time.monotonic() + timeout
    while True:
        try:
            return await ask_engine(machine, timeout=5)
        except EngineTrouble as trouble:
            if trouble.problem in (EngineProblem.DENIED, EngineProblem.OLD):
                raise
            died = pid != 0 and not _alive(pid)
            if died or time.monotonic() > deadline:
                words = _log_tail(machine.dockerd_log, log_from)
                raise RuntimeFailure(
                    "dockerd ended right after its start"
                    if died
                    else f"dockerd gave no answer within {timeout:.0f} s",
                    detail=words,
                    remedy=_remedy_for(words) or f"The rest of its log is in {machine.dockerd_log}.",
                ) from trouble
        await asyncio.sleep(0.1)


def _alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not collected yet (Z) does not. Source: proc(5)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def _log_tail(log: Path, start: int) -> str:
    """The last lines written after byte `start`, errors preferred; at most 400 characters."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(start, size - 8192))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        grave = [
            line for line in lines if "level=error" in line or "failed to" in line or "level=fatal" in line
        ]
        return " / ".join((grave or lines)[-2:])[-400:]
    return ""


def _remedy_for(words: str) -> str:
    if "iptables" in words and ("nft" in words or "Failed to initialize" in words):
        return (
            "This kernel lacks nf_tables: sudo update-alternatives --set iptables /usr/sbin/iptables-legacy"
        )
    if "pid file found" in words or "process with PID" in words:
        return "Another dockerd is starting or hanging: end it, then try again."
    if "cgroup" in words:
        return (
            "The cgroup file systems are not mounted: apt-get install cgroupfs-mount, or mount them by hand."
        )
    if "no space left" in words:
        return "The disk is full: free some space under /var/lib/docker."
    return ""


async def _group_of(machine: Machine) -> str:
    finished = await run(machine, ["id", "-gn"], timeout=10)
    return finished.stdout.strip()
