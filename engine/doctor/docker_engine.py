"""Is there a Docker engine, does it answer us, and is it new enough?

Also the two things every other Docker check is made of: a connection whose failures are explained, and
a probe, a throw-away container without network that runs one shell line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Any

import aiodocker
import aiohttp
import msgspec
from aiodocker.exceptions import DockerError

from engine.doctor.machine import Machine
from engine.doctor.results import CheckResult, CheckState
from engine.errors import RuntimeUnavailable

# 1.41 is Docker 20.10 (December 2020): the first with `host-gateway` and cgroup v2, both of which runs use.
MIN_API = (1, 41)
PROBE_LABEL = "moat.doctor"
NO_CONNECTION = 900  # aiodocker's own status for an engine it could not connect to


class EngineProblem(StrEnum):
    MISSING = "missing"  # no socket, and no dockerd on this machine
    DEAD = "dead"  # dockerd is installed but nobody answers
    DENIED = "denied"  # it is there and this user may not use it
    SILENT = "silent"  # it accepts a connection and says nothing
    BROKEN = "broken"  # it answers, with errors
    OLD = "old"
    ELSEWHERE = "elsewhere"  # DOCKER_HOST names another engine, which cannot be reached


class EngineTrouble(RuntimeUnavailable):
    def __init__(self, problem: EngineProblem, what: str, *, remedy: str = "", detail: str = "") -> None:
        super().__init__(what, remedy=remedy, detail=detail)
        self.problem = problem


class EngineFacts(msgspec.Struct, frozen=True):
    """version e.g. "20.10.24", api e.g. "1.41", time as RFC 3339, runtimes as the daemon lists them.

    desktop: Docker Desktop, whose containers live in a virtual machine of its own, without gVisor.
    """

    version: str
    api: str
    time: str
    runtimes: dict[str, dict[str, Any]]
    desktop: bool = False
    podman: bool = False
    rootless: bool = False


class Probe(msgspec.Struct, frozen=True):
    exit_code: int
    output: str


async def check_engine(machine: Machine) -> CheckResult:
    try:
        facts = await ask_engine(machine)
    except EngineTrouble as trouble:
        fixable = engine_fixable(machine, trouble.problem)
        message = f"{trouble.what}: {trouble.detail}" if trouble.detail else trouble.what
        return _result(CheckState.FAIL, message, trouble.remedy, fixable)
    kind = "Podman" if facts.podman else "rootless Docker" if facts.rootless else "Docker"
    where = f" at {machine.docker}" if machine.docker_source or not machine.own_daemon else ""
    return _result(CheckState.OK, f"{kind} {facts.version}, API {facts.api}{where}")


_FIXABLE = (EngineProblem.MISSING, EngineProblem.DEAD, EngineProblem.DENIED)


def engine_fixable(machine: Machine, problem: EngineProblem) -> bool:
    """Whether `moat doctor --fix` can mend that here."""
    able = machine.can_install if problem is EngineProblem.MISSING else machine.can_be_root
    return problem in _FIXABLE and machine.own_daemon and able


def engine_first(machine: Machine, trouble: EngineTrouble) -> str:
    """The remedy of a check that cannot be made without an engine."""
    fix = ": moat doctor --fix" if engine_fixable(machine, trouble.problem) else ""
    return f"Ready the Docker engine first{fix}."


async def ask_engine(machine: Machine, *, timeout: float = 10) -> EngineFacts:
    """What the engine says of itself; raises EngineTrouble when it says nothing usable."""
    async with connected(machine, timeout=timeout) as docker:
        try:
            version = await docker.version()
            api = str(version.get("ApiVersion", "0.0"))
            if _numbers(api) < MIN_API:
                raise EngineTrouble(
                    EngineProblem.OLD,
                    f"Docker {version.get('Version')} (API {api}) is too old",
                    remedy=f"Install Docker 20.10 or newer (API {MIN_API[0]}.{MIN_API[1]}).",
                )
            info = await docker.system.info()
        except DockerError as error:
            if error.status == NO_CONNECTION:
                raise
            raise EngineTrouble(
                EngineProblem.BROKEN,
                f"the Docker engine at {machine.docker_host} answers with an error",
                remedy=f"Look at its log ({_log_hint(machine)}).",
                detail=" ".join(error.message.split()),
            ) from error
    return EngineFacts(
        version=str(version.get("Version", "")),
        api=api,
        time=str(info.get("SystemTime", "")),
        runtimes=info.get("Runtimes") or {},
        desktop=info.get("OperatingSystem") == "Docker Desktop",
        podman=any("Podman" in str(part.get("Name")) for part in version.get("Components") or ()),
        rootless=bool(info.get("Rootless")) or "name=rootless" in (info.get("SecurityOptions") or ()),
    )


@contextlib.asynccontextmanager
async def connected(machine: Machine, *, timeout: float) -> AsyncIterator[aiodocker.Docker]:
    """The engine for at most `timeout` seconds.

    Raises EngineTrouble when it cannot be reached, does not answer in time, or what listens is no engine;
    DockerError passes through for what a reachable engine refuses.
    """
    await _knock(machine, timeout)
    try:
        async with asyncio.timeout(timeout), aiodocker.Docker(url=machine.docker_host) as docker:
            yield docker
    except TimeoutError as error:
        raise EngineTrouble(
            EngineProblem.SILENT,
            f"the Docker engine at {machine.docker_host} did not answer within {timeout:.0f} s",
            remedy=f"Look at its log ({_log_hint(machine)}) and restart it.",
        ) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise _unreachable(machine, str(error)) from error
    except DockerError as error:
        if error.status == NO_CONNECTION:
            raise _unreachable(machine, error.message) from error
        raise


async def run_probe(docker: aiodocker.Docker, image: str, script: str, *, runtime: str = "") -> Probe:
    """Run `sh -c script` in a container without network, and remove it whatever happens.

    Raises DockerError with the daemon's own words when the container cannot be created or started.
    """
    host_config: dict[str, Any] = {"NetworkMode": "none", "CapDrop": ["ALL"]}
    if runtime:
        host_config["Runtime"] = runtime
    container = await docker.containers.create(
        {
            "Image": image,
            "Entrypoint": ["/bin/sh", "-c", script],
            "Cmd": [],
            "Labels": {PROBE_LABEL: "1"},
            "HostConfig": host_config,
        }
    )
    try:
        await container.start()
        ended = await container.wait()
        output = await container.log(stdout=True, stderr=True)
        return Probe(exit_code=int(ended.get("StatusCode", -1)), output="".join(output))
    finally:
        with contextlib.suppress(DockerError, TimeoutError):
            async with asyncio.timeout(10):
                await container.delete(force=True)


async def _knock(machine: Machine, timeout: float) -> None:
    """Connect once, because its errno tells apart what HTTP libraries report as one error."""
    socket, tcp = machine.socket, machine.tcp
    if machine.docker_problem or (socket is None and tcp is None):
        raise EngineTrouble(  # as the Docker runtime says when a run is to start
            EngineProblem.ELSEWHERE,
            f"Moat cannot use the Docker engine at {machine.docker}",
            remedy=machine.docker_remedy
            or "Unset DOCKER_HOST, or point it at a local socket such as unix:///var/run/docker.sock.",
            detail=machine.docker_problem or "it must be on this machine",
        )
    try:
        async with asyncio.timeout(timeout):
            if tcp is not None:
                _, writer = await asyncio.open_connection(*tcp)
            else:
                _, writer = await asyncio.open_unix_connection(str(socket))
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    except PermissionError as error:
        as_root = "sudo" if machine.which("sudo") else "As root:"
        raise EngineTrouble(
            EngineProblem.DENIED,
            f"{machine.user} may not use the Docker engine at {socket}",
            remedy=f"{as_root} usermod -aG docker {machine.user}, then log in again (or: newgrp docker).",
            detail="permission denied",
        ) from error
    except TimeoutError as error:
        raise EngineTrouble(
            EngineProblem.SILENT,
            f"the Docker engine at {socket} accepts no connection",
            remedy=f"Look at its log ({_log_hint(machine)}) and restart it.",
        ) from error
    except OSError as error:
        detail = os.strerror(error.errno) if error.errno else str(error)
        raise _unreachable(machine, detail) from error


def _unreachable(machine: Machine, detail: str) -> EngineTrouble:
    if not machine.own_daemon:
        return EngineTrouble(
            EngineProblem.ELSEWHERE,
            f"the Docker engine at {machine.docker} cannot be reached",
            remedy="Start it (Docker Desktop, for example), or point DOCKER_HOST at one that runs.",
            detail=detail,
        )
    if machine.which("dockerd") is None:
        return EngineTrouble(
            EngineProblem.MISSING,
            "there is no Docker engine on this machine",
            remedy="moat doctor --fix (or, on Debian: apt-get install docker.io).",
        )
    start = "sudo systemctl start docker" if machine.has_systemd else "sudo dockerd"
    return EngineTrouble(
        EngineProblem.DEAD,
        f"the Docker engine is installed but does not answer at {machine.docker_host}",
        remedy=f"moat doctor --fix (or: {start}).",
        detail=detail,
    )


def _log_hint(machine: Machine) -> str:
    return "journalctl -u docker" if machine.has_systemd else str(machine.dockerd_log)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _result(state: CheckState, message: str, remedy: str = "", fixable: bool = False) -> CheckResult:
    return CheckResult("docker", "Docker engine", state, message, remedy, fixable)
