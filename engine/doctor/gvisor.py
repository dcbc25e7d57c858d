"""Does a container really start under gVisor?

The only honest answer comes from starting one and reading its kernel's log: gVisor's own kernel
announces itself there, and a runtime that is merely called `runsc` does not.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from aiodocker.exceptions import DockerError

from engine.doctor.docker_engine import (
    NO_CONNECTION,
    EngineTrouble,
    ask_engine,
    connected,
    engine_first,
    engine_fixable,
    run_probe,
)
from engine.doctor.machine import Machine
from engine.doctor.results import CheckResult, CheckState

PROBE = "dmesg 2>/dev/null | head -n 3; cat /proc/version"


class GvisorProblem(StrEnum):
    NOT_INSTALLED = "not installed"
    NOT_REGISTERED = "not registered"
    WRONG_PATH = "wrong path"  # registered, but the file is not there
    HOST_NETWORK = "needs --network=host"
    IMPOSTOR = "not gVisor"
    NO_IMAGE = "no image"
    NO_ENGINE = "no engine"
    OTHER = "other"


class GvisorAttempt(msgspec.Struct, frozen=True):
    """problem is None when a container ran under gVisor; detail holds the daemon's own words otherwise.

    trouble: why there is no engine, with NO_ENGINE.
    """

    problem: GvisorProblem | None
    detail: str = ""
    trouble: EngineTrouble | None = None


def classify(error: str) -> GvisorProblem:
    """What stands behind the daemon's refusal to start a container under `runsc`.

    Sources: the texts of Docker 20.10 ("Unknown runtime specified") and 23+ ("unknown or invalid runtime
    name"), of containerd's shim ("fork/exec …", "executable file not found") and of gVisor's network.go.
    """
    text = error.lower()
    if "unknown runtime" in text or "invalid runtime name" in text:
        return GvisorProblem.NOT_REGISTERED
    if "cannot run with network enabled in root network namespace" in text:
        return GvisorProblem.HOST_NETWORK
    if ("fork/exec" in text and "no such file" in text) or "executable file not found" in text:
        return GvisorProblem.WRONG_PATH
    if "no such image" in text:
        return GvisorProblem.NO_IMAGE
    return GvisorProblem.OTHER


async def try_gvisor(machine: Machine, *, timeout: float = 45) -> GvisorAttempt:
    """Start a container of the base image under gVisor and see what kernel it finds. Never raises."""
    try:
        await ask_engine(machine)  # one that says nothing is not waited for as long as a container is
        async with connected(machine, timeout=timeout) as docker:
            try:
                probe = await run_probe(docker, machine.base_image, PROBE, runtime="runsc")
            except DockerError as error:
                if error.status == NO_CONNECTION:
                    raise
                problem = classify(error.message)
                if problem is GvisorProblem.NOT_REGISTERED and machine.which("runsc") is None:
                    problem = GvisorProblem.NOT_INSTALLED
                return GvisorAttempt(problem, " ".join(error.message.split()))
    except EngineTrouble as trouble:
        return GvisorAttempt(GvisorProblem.NO_ENGINE, str(trouble), trouble)
    if "gvisor" in probe.output.lower():
        return GvisorAttempt(None)
    if probe.exit_code != 0:
        return GvisorAttempt(
            GvisorProblem.OTHER, f"exit code {probe.exit_code}: {' '.join(probe.output.split())}"
        )
    return GvisorAttempt(GvisorProblem.IMPOSTOR, " ".join(probe.output.split()))


async def check_gvisor(machine: Machine) -> CheckResult:
    if machine.system != "Linux":
        message = f"not available on {machine.system}: runs use Docker's standard isolation"
        return CheckResult("gvisor", "gVisor", CheckState.OK, message, needed=False)
    attempt = await try_gvisor(machine)
    unknown = attempt.problem in (GvisorProblem.NOT_INSTALLED, GvisorProblem.NOT_REGISTERED)
    if unknown and (await ask_engine(machine)).desktop:
        message = "not available in Docker Desktop: runs use its standard isolation"
        return CheckResult("gvisor", "gVisor", CheckState.OK, message, needed=False)
    if attempt.problem is None:
        return CheckResult("gvisor", "gVisor", CheckState.OK, "a container started under it (runsc)")
    fixable = attempt.problem is not GvisorProblem.IMPOSTOR and machine.own_daemon and machine.can_be_root
    message, remedy = _EXPLAINED[attempt.problem]
    if attempt.trouble is not None:
        remedy = engine_first(machine, attempt.trouble)
        fixable = fixable and engine_fixable(machine, attempt.trouble.problem)
    if attempt.problem in _QUOTED and attempt.detail:
        message = f"{message}: {attempt.detail[-300:]}"
    return CheckResult("gvisor", "gVisor", CheckState.FAIL, message, remedy, fixable)


_QUOTED = (GvisorProblem.OTHER, GvisorProblem.IMPOSTOR, GvisorProblem.WRONG_PATH)
_OR_WITHOUT = "or run with --no-sandbox, which isolates less."
_EXPLAINED: dict[GvisorProblem, tuple[str, str]] = {
    GvisorProblem.NOT_INSTALLED: (
        "not installed",
        "moat doctor --fix (or: apt-get install runsc, from backports where offered, and "
        f"register it: sudo runsc install && sudo systemctl reload docker), {_OR_WITHOUT}",
    ),
    GvisorProblem.NOT_REGISTERED: (
        "installed, but Docker does not know it",
        f"moat doctor --fix (or: sudo runsc install && sudo systemctl reload docker), {_OR_WITHOUT}",
    ),
    GvisorProblem.WRONG_PATH: (
        "registered with Docker, but its program is not there",
        "moat doctor --fix, or correct the path of runsc in /etc/docker/daemon.json.",
    ),
    GvisorProblem.HOST_NETWORK: (
        "it takes a container's network for the machine's on this kernel, and refuses to start",
        "moat doctor --fix adds --network=host to its arguments in /etc/docker/daemon.json "
        "(gVisor then uses the container's own network namespace).",
    ),
    GvisorProblem.IMPOSTOR: (
        "Docker's runtime `runsc` started a container, but not under gVisor",
        "Correct the path of runsc in /etc/docker/daemon.json.",
    ),
    GvisorProblem.NO_IMAGE: (
        "could not be tried: the base image is not there yet",
        "moat doctor --fix gets the image, then tries again.",
    ),
    GvisorProblem.NO_ENGINE: (
        "could not be tried: the Docker engine does not answer",
        "Ready the Docker engine first.",
    ),
    GvisorProblem.OTHER: (
        "a container did not start under it",
        f"moat doctor --fix installs the newest release that this system offers, {_OR_WITHOUT}",
    ),
}
