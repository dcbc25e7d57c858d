"""The image that runs use when nothing else is asked for, and the same with an agent's everyday tools.

The official `debian:bookworm-slim` has no curl, git, Python or certificates. So there are two names:
`debian:bookworm-slim`, which is whatever the registry says it is and is never overwritten, and
`moat-base:bookworm`, which always has the tools. Where no registry answers, both name the image that
Moat builds itself; after a pull, Moat builds only the second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiodocker
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
from engine.doctor.image_build import TOOLS, build_image
from engine.doctor.image_create import create_image, tag
from engine.doctor.machine import Machine
from engine.doctor.results import CheckResult, CheckState
from engine.errors import ImageUnavailable

Say = Callable[[str], None]

FIRST_WORD = 20.0  # seconds a registry has to say anything at all
NEXT_WORD = 120.0
PULL_TIMEOUT = 900.0
ENSURE_TIMEOUT = 2400.0
_FIND_TOOLS = f"for t in {' '.join(TOOLS)}; do command -v $t >/dev/null || echo $t; done"


async def check_image(machine: Machine) -> CheckResult:
    try:
        await ask_engine(machine)  # one that says nothing is not waited for as long as a container is
        async with connected(machine, timeout=45) as docker:
            return await _check(machine, docker)
    except EngineTrouble as trouble:
        return _result(
            CheckState.FAIL, "cannot be looked for: the Docker engine does not answer",
            engine_first(machine, trouble), fixable=engine_fixable(machine, trouble.problem),
        )  # fmt: skip


async def _check(machine: Machine, docker: aiodocker.Docker) -> CheckResult:
    image = machine.base_image
    if not await _exists(docker, image):
        remedy = f"moat doctor --fix (or: docker pull {image})."
        return _result(CheckState.FAIL, f"{image} is not there", remedy)
    try:
        missing = await missing_tools(docker, image)
    except DockerError as error:
        message = f"a container of {image} does not start: {' '.join(error.message.split())[-300:]}"
        return _result(CheckState.FAIL, message, "Remove the image and run `moat doctor --fix`.")
    if await _exists(docker, machine.tools_image):
        more = f"; {machine.tools_image} has them" if missing else ""
        lack = f", without {', '.join(missing)}" if missing else ", with the tools agents expect"
        return _result(CheckState.OK, f"{image} is there{lack}{more}")
    lack = (
        f"{image} is there, but has no {', '.join(missing)}" if missing else f"{image} is there, with tools"
    )
    return _result(
        CheckState.WARN, f"{lack}; {machine.tools_image}, the image with the tools, is missing",
        "moat doctor --fix makes it.",
    )  # fmt: skip


async def missing_tools(docker: aiodocker.Docker, image: str) -> list[str]:
    """Which of the everyday tools an image lacks; raises DockerError when no container of it starts."""
    return (await run_probe(docker, image, _FIND_TOOLS)).output.split()


async def ensure_images(machine: Machine, say: Say) -> None:
    """Make both names exist. Raises ImageUnavailable, or RuntimeFailure when mmdebstrap cannot be had."""
    async with connected(machine, timeout=ENSURE_TIMEOUT) as docker:
        base, tools = machine.base_image, machine.tools_image
        if not await _exists(docker, base):
            try:
                await pull(docker, base, say)
            except ImageUnavailable as error:
                say(f"{error.what} ({error.detail[-200:]})" if error.detail else error.what)
                await build_image(machine, docker, (base, tools), say)
                return
        if await _exists(docker, tools):
            return
        missing = await missing_tools(docker, base)
        if not missing:
            await tag(docker, base, tools)
            return
        say(f"{base} has no {', '.join(missing)}; it stays as it is, and {tools} will have them")
        await build_image(machine, docker, (tools,), say)


async def pull(
    docker: aiodocker.Docker,
    image: str,
    say: Say,
    *,
    first_word: float = FIRST_WORD,
    next_word: float = NEXT_WORD,
) -> None:
    """Fetch an image; a registry that stays silent for `first_word` seconds counts as none.

    Raises ImageUnavailable with the daemon's words.
    """
    say(f"pulling {image}")
    repository, _, version = image.partition(":")
    query = [("fromImage", repository), ("tag", version or "latest")]
    try:
        async with asyncio.timeout(PULL_TIMEOUT):
            await create_image(docker, query, first_word=first_word, next_word=next_word)
    except TimeoutError as error:
        raise ImageUnavailable(f"no registry answered for {image}", detail="it stayed silent") from error
    except DockerError as error:
        if error.status == NO_CONNECTION:
            raise
        raise ImageUnavailable(
            f"{image} could not be pulled", detail=" ".join(error.message.split())
        ) from error


async def _exists(docker: aiodocker.Docker, image: str) -> bool:
    try:
        await docker.images.inspect(image)
    except DockerError as error:
        if error.status == 404:
            return False
        raise
    return True


def _result(state: CheckState, message: str, remedy: str = "", *, fixable: bool = True) -> CheckResult:
    # A pull needs nothing but an engine, so with one the fix is always worth trying.
    fixable = fixable and state is not CheckState.OK
    return CheckResult("image", "Base image", state, message, remedy, fixable=fixable)
