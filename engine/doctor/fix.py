"""`moat doctor --fix`: the remedies Moat can do itself, in the order in which they depend on each other.

Every step looks first, says in one line what it is about to do, and does only what is missing; running
it again changes nothing. A step that fails is said, and the final checks tell what is still wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiodocker.exceptions import DockerError

from engine.doctor.base_image import ensure_images
from engine.doctor.checks import run_checks
from engine.doctor.commands import run_as_root
from engine.doctor.daemon_config import RUNTIME, read_config, with_host_network, with_runtime, write_config
from engine.doctor.docker_engine import EngineProblem, EngineTrouble, ask_engine
from engine.doctor.dockerd import reload_daemon, start_daemon
from engine.doctor.gvisor import GvisorProblem, try_gvisor
from engine.doctor.leftovers import FindLeftovers, find_leftovers
from engine.doctor.machine import Machine
from engine.doctor.packages import install
from engine.doctor.results import CheckResult, CheckState
from engine.errors import MoatError
from engine.home import Home

Say = Callable[[str], None]

_FIXED_HERE = ("docker", "gvisor", "image")


async def fix_machine(
    home: Home, say: Say, *, machine: Machine | None = None, find: FindLeftovers = find_leftovers
) -> list[CheckResult]:
    """Ready this machine for runs; returns the checks' results afterwards.

    `say` gets one line before each thing that is done, and one for each that failed.
    """
    machine = machine or Machine.here()
    before = await run_checks(home, machine=machine, find=find)
    wrong = {result.name for result in before if result.state is not CheckState.OK}
    if not wrong.intersection(_FIXED_HERE):
        return before
    if not await _attempt(say, ready_engine(machine, say)):
        return await run_checks(home, machine=machine, find=find)
    if machine.own_daemon and "gvisor" in wrong:
        await _attempt(say, register_gvisor(machine, say))
    if await _attempt(say, ensure_images(machine, say)) and machine.own_daemon and "gvisor" in wrong:
        await _attempt(say, make_gvisor_start(machine, say))
    return await run_checks(home, machine=machine, find=find)


async def ready_engine(machine: Machine, say: Say) -> None:
    """Docker installed, running and open to this user. Raises MoatError when it cannot be."""
    try:
        await ask_engine(machine)
        return
    except EngineTrouble as trouble:
        if not machine.own_daemon or trouble.problem not in _CAN_BE_MENDED:
            raise
        problem = trouble.problem
    if problem is EngineProblem.MISSING:
        # iptables is named because dockerd cannot start without it, and not every release depends on it.
        await install(machine, ["docker.io", "iptables"], say)
        if machine.which(RUNTIME) is None:  # not every mirror has it, and Docker is of use without it
            await _attempt(say, install(machine, [RUNTIME], say))
    if problem is EngineProblem.DENIED:
        await _let_in(machine, say)
        await ask_engine(machine)
        return
    if machine.which(RUNTIME) is not None:  # before the start, so that no reload is needed after it
        await _register(machine, say)
    try:
        await ask_engine(machine)  # installing it may have started it
    except EngineTrouble as trouble:
        if trouble.problem is EngineProblem.DENIED:
            await _let_in(machine, say)
        else:
            say(
                "starting the Docker daemon"
                + ("" if machine.has_systemd else f" (log: {machine.dockerd_log})")
            )
            await start_daemon(machine)


_CAN_BE_MENDED = (EngineProblem.MISSING, EngineProblem.DEAD, EngineProblem.DENIED)


async def register_gvisor(machine: Machine, say: Say) -> None:
    """gVisor installed, in the daemon's configuration, and known to the running daemon."""
    if machine.which(RUNTIME) is None:
        await install(machine, [RUNTIME], say)
    changed = await _register(machine, say)
    entry = read_config(machine.daemon_json).get("runtimes", {}).get(RUNTIME, {})
    if changed or RUNTIME not in (await ask_engine(machine)).runtimes:
        say("telling the Docker daemon to read its configuration again")
        await reload_daemon(machine, expect_runtime=entry)


async def make_gvisor_start(machine: Machine, say: Say) -> None:
    """A container starts under gVisor, after whatever this kernel and this release need for it."""
    attempt = await try_gvisor(machine)
    if attempt.problem is GvisorProblem.OTHER and machine.can_install:
        say(f"gVisor did not start a container, perhaps because it is too old: {_end_of(attempt.detail)}")
        if await install(machine, [RUNTIME], say):
            attempt = await try_gvisor(machine)
    if attempt.problem is GvisorProblem.HOST_NETWORK:
        say(
            "gVisor takes a container's network for the machine's on this kernel: adding --network=host "
            f"to its arguments in {machine.daemon_json} (it then uses the container's own network namespace)"
        )
        config = with_host_network(read_config(machine.daemon_json))
        await write_config(machine, config)
        await reload_daemon(machine, expect_runtime=config["runtimes"][RUNTIME])


def _end_of(text: str, length: int = 200) -> str:
    return text if len(text) <= length else f"…{text[-length:]}"


async def _register(machine: Machine, say: Say) -> bool:
    """Put gVisor into the daemon's configuration; False when it was there."""
    config = read_config(machine.daemon_json)
    path = str((config.get("runtimes") or {}).get(RUNTIME, {}).get("path") or "")
    broken = path.startswith("/") and not Path(path).exists()
    wanted = with_runtime(config, machine.which(RUNTIME) or RUNTIME, replace=broken)
    if wanted == config:
        return False
    say(f"registering gVisor (runsc) in {machine.daemon_json}")
    await write_config(machine, wanted)
    return True


async def _let_in(machine: Machine, say: Say) -> None:
    """Let this user, who can be root anyway, use the engine: from the next login, and where possible now."""
    say(f"adding {machine.user} to the group docker, whose members control the Docker engine")
    await run_as_root(machine, ["usermod", "-aG", "docker", machine.user], timeout=30)
    if machine.socket is not None and machine.which("setfacl") is not None:
        say(f"opening {machine.socket} to {machine.user} until the daemon's next start")
        await run_as_root(machine, ["setfacl", "-m", f"u:{machine.user}:rw", str(machine.socket)], timeout=30)


async def _attempt(say: Say, step: Awaitable[object]) -> bool:
    """Whether the step went through; when not, its error is said."""
    try:
        await step
    except MoatError as error:
        for line in error.lines():
            say(line)
        return False
    except DockerError as error:
        say(f"the Docker engine refused: {error.message}")
        return False
    return True
