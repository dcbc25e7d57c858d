"""One step of an image, in a container of its own that becomes the layer.

The step's environment and the proxy's certificate come in by the shell's standard input, into memory: what
was in the container's configuration, or in its files, would be in the image.
"""

from __future__ import annotations

import asyncio
import shlex
import socket
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import ImageUnavailable, MoatError
from engine.home import Home
from engine.images import Step
from engine.run.environment import CA_BUNDLE, CA_CERT, CA_DIR, container_environment
from engine.run.image.log import ImageLog
from engine.run.spec import RunSpec
from engine.run.whole import whole
from engine.runtimes import (
    Attachment,
    Builder,
    Container,
    ContainerSpec,
    Network,
    Runtime,
    Terms,
    home_label,
)

if TYPE_CHECKING:
    from engine.audit import EntryData
    from engine.proxy import CertificateAuthority, Holding, Recorder, Trust

    class ImageRecorder(Recorder, Protocol):
        async def note(self, entry: EntryData) -> None: ...


STEP_TIMEOUT = 1800.0  # seconds that one step may take
STILL_AT_IT = 30.0  # seconds after which it is said that it goes on, and what it printed last
_ROOT = "0:0"
_APT_CONFIG = f"{CA_DIR}/apt.conf"
_END = "MOAT-END-OF-FILE"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What steps are carried out in. listener: the run's own, which nobody serves yet."""

    home: Home
    spec: RunSpec
    engine: Runtime
    network: Network
    terms: Terms
    listener: socket.socket
    ca: CertificateAuthority
    trust: Trust
    recorder: ImageRecorder
    holding: Holding
    say: Callable[[str], None]
    log: ImageLog


class StepMaker:
    """proxy_url: the only way out that the steps are told of. entrypoint: whether the base has one."""

    def __init__(self, around: Surroundings, builder: Builder, proxy_url: str, *, entrypoint: bool) -> None:
        self._around = around
        self._builder = builder
        self._proxy_url = proxy_url
        self._entrypoint = entrypoint

    async def layer(self, step: Step, doing: str, parent: str, name: str) -> str:
        """The id of the new layer, which has its name only once it is whole. parent: the image below, by id.

        Raises ImageUnavailable when the step fails, RuntimeFailure when the engine does.
        """
        around = self._around
        around.log.begin(doing)
        return await _told(self._layer(step, parent, name), doing, around.log, around.say)

    async def _layer(self, step: Step, parent: str, name: str) -> str:
        around = self._around
        container = await whole(around.engine.create(self._spec(step, parent)))
        try:
            if step.source:
                await self._builder.copy_from(step.source, step.paths, container)
            code = await self._carried_out(step, container)
            if code:
                raise await self._failed(step, container, code)
            label = home_label(around.home.root)
            return await whole(self._builder.keep_as_image(container, name, label))
        finally:
            await asyncio.shield(asyncio.ensure_future(container.remove()))

    async def _carried_out(self, step: Step, container: Container) -> int:
        log = self._around.log
        attachment = await container.attach()
        try:
            await container.start()
            async with asyncio.timeout(STEP_TIMEOUT), asyncio.TaskGroup() as group:
                given = step_input(step, self._around.trust, self._variables())
                group.create_task(_hand_over(attachment, given))
                async for stream, data in attachment:
                    log.feed(stream, data)
                log.finish()
                return await container.wait()
        except TimeoutError:
            raise ImageUnavailable(
                f"the image could not be made: {step.title} did not end within {STEP_TIMEOUT / 60:g} minutes",
                detail=log.last_lines(),
                remedy=f"All that it printed: {log.path}",
            ) from None
        finally:
            await attachment.close()

    async def _failed(self, step: Step, container: Container, code: int) -> ImageUnavailable:
        log = self._around.log
        why = f"ended with exit code {code}"
        if code == 137 and await container.out_of_memory():
            why = "was killed: it needed more memory than container.memory gives"
        remedy = f"All that it printed: {log.path}"
        return ImageUnavailable(
            f"the image could not be made: {step.title} {why}", detail=log.last_lines(), remedy=remedy
        )

    def _spec(self, step: Step, parent: str) -> ContainerSpec:
        run, terms = self._around.spec, self._around.terms
        return ContainerSpec(
            run_id=run.id,
            home_label=home_label(self._around.home.root),
            name=f"moat-{run.id}-image",
            image=parent,
            network=self._around.network,
            command=("/bin/sh", "-s"),
            # A commit could not take back what was put where the base has nothing.
            entrypoint=not self._entrypoint,
            workdir="/",
            user=terms.user if step.as_agent else _ROOT,
            sandbox=terms.sandbox,
            extra_hosts=terms.reach.extra_hosts,
            dns=run.dns,
            memory_mb=run.memory_mb,
            cpus=run.cpus,
            interactive=True,
            memory_files=CA_DIR,
            kept=True,
        )

    def _variables(self) -> dict[str, str]:
        """As an agent's, so that the same clients work; nothing of a grant or of the run's own `env`."""
        env = container_environment(
            proxy_url=self._proxy_url,
            run_id=self._around.spec.id,
            placeholders={},
            user={},
            java_store=False,
        )
        return env | {"APT_CONFIG": _APT_CONFIG}


def step_input(step: Step, trust: Trust, env: Mapping[str, str]) -> bytes:
    """What a shell reads: the files, the variables, and the step, for a shell of its own."""
    apt = f'Acquire::https::CAInfo "{CA_BUNDLE}";\n'.encode()
    lines = [b"umask 022"]
    for path, content in ((CA_CERT, trust.certificate), (CA_BUNDLE, trust.bundle), (_APT_CONFIG, apt)):
        lines += [f"cat >{path} <<'{_END}'".encode(), content.rstrip(b"\n"), _END.encode()]
    lines += [f"export {name}={shlex.quote(value)}".encode() for name, value in env.items()]
    lines += [
        # Where a user has no home that can be entered, the file system's root will do.
        *((b'cd "$HOME" 2>/dev/null || cd /',) if step.as_agent else ()),
        # Not in this shell's place: it is the container's first process, and signals have no effect on that.
        f"/bin/sh -ec {shlex.quote(step.script)} </dev/null".encode(),
        b"exit $?",
        b"",
    ]
    return b"\n".join(lines)


async def _told[T](work: Coroutine[Any, Any, T], doing: str, log: ImageLog, say: Callable[[str], None]) -> T:
    """What `work` gives, or raises; while it lasts it is said from time to time that it goes on."""
    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(_tick(doing, log, say))
        try:
            done, problem = await work, None
        except MoatError as error:  # the group would wrap it
            problem = error
        ticking.cancel()
    if problem is not None:
        raise problem
    return done


async def _tick(doing: str, log: ImageLog, say: Callable[[str], None]) -> None:
    """Cancelled at the step's end."""
    seconds = 0.0
    while True:
        await asyncio.sleep(STILL_AT_IT)
        seconds += STILL_AT_IT
        say(f"{doing} ({seconds:g} s): {log.last_line}")


async def _hand_over(attachment: Attachment, script: bytes) -> None:
    await attachment.write(script)
    await attachment.close_stdin()
