"""What an agent's container gets so that it can use Docker, and what is started for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from engine.audit import EntryData, container
from engine.config import WORKSPACE
from engine.errors import RuntimeFailure
from engine.home import Home
from engine.run.beside.sidecar import Sidecars
from engine.run.docker.access import DIND, HOST, no_socket, warning
from engine.run.docker.inner import (
    BUILDKIT,
    BUILDKIT_PROBE,
    CLIENT_CONFIG,
    DOCKER,
    DockerSurroundings,
    agent_environment,
    agent_files,
    builders,
    buildkit_sidecar,
    client_config,
    dockerd_sidecar,
)
from engine.run.environment import trust_files
from engine.run.spec import RunSpec
from engine.runtimes import Bind, Network, PlacedFile, Runtime, Terms, Wanted, home_label

if TYPE_CHECKING:
    from engine.proxy import Trust
    from engine.run.docker.engine_relay import EngineRelay

ACTION = "docker"  # of the container entry that says what was given
CLIENT = "docker"  # the program that an agent uses it with


class DockerRecorder(Protocol):
    """Whoever keeps the run's audit log."""

    async def note(self, entry: EntryData) -> None: ...


@dataclass(frozen=True, slots=True)
class DockerDelivery:
    """Of a run without Docker: nothing. socket, groups: of the engine itself. hosts: name -> address; relay:
    to the engine, where its socket cannot be shown.
    """

    env: dict[str, str]
    files: tuple[PlacedFile, ...] = ()
    home_files: tuple[PlacedFile, ...] = ()
    socket: str = ""
    groups: tuple[int, ...] = ()
    programs: tuple[str, ...] = ()
    hosts: dict[str, str] = field(default_factory=dict)
    relay: EngineRelay | None = None

    async def serve(self) -> None:
        """For the agent's whole life; cancelled at its end."""
        if self.relay is not None:
            await self.relay.serve()

    def close(self) -> None:
        if self.relay is not None:
            self.relay.close()


async def deliver_docker(
    spec: RunSpec,
    terms: Terms,
    around: DockerSurroundings,
    sidecars: Sidecars,
    engine: Runtime,
    recorder: DockerRecorder,
    say: Callable[[str], None],
) -> DockerDelivery:
    """On return, what was started can be used. Raises RuntimeFailure, or UsageError where there is no socket.

    The audit entry is written before the agent exists.
    """
    if spec.docker == HOST:
        if not terms.engine_socket:
            raise no_socket()
        say(warning(HOST, terms.sandbox))
        if terms.sandbox == "gvisor":  # which connects to no socket that is mounted
            return await _relayed(terms, around, engine, recorder, say)
        return await _mounted(terms, recorder)
    if spec.docker == DIND:
        say(warning(DIND, terms.sandbox))
        return await _inner(spec, around, sidecars, engine, recorder, say)
    return DockerDelivery({})


def without_docker(left_out: tuple[str, ...], lacking: tuple[str, ...], image: str) -> list[str]:
    """What to say of a container whose image is not made for the Docker that it was given."""
    said = []
    if CLIENT in lacking:
        said.append(
            f"the image {image} has no `docker` command to use the Docker that it was given; Debian's is in "
            "docker.io, which can be one of the dependencies"
        )
    if CLIENT_CONFIG in left_out:
        said.append(f"containers inside get no proxy variables: ~/{CLIENT_CONFIG} is there already")
    return said


def docker_surroundings(
    home: Home,
    spec: RunSpec,
    network: Network,
    terms: Terms,
    trust: Trust,
    entry: tuple[int, str],
    resolver: tuple[Bind, ...],
) -> DockerSurroundings:
    """entry: the proxy's port and token. It is named by its address: containers inside a sidecar know no name
    of Moat's.
    """
    reach = terms.reach
    port, token = entry
    host = reach.bind if reach.own_address else reach.host
    return DockerSurroundings(
        run_id=spec.id,
        home_label=home_label(home.root),
        network=network,
        sandbox=terms.sandbox,
        proxy_url=f"http://moat:{token}@{host}:{port}",
        trust=trust_files(trust.certificate, trust.bundle, trust.java_store),
        extra_hosts=reach.extra_hosts,
        resolver=resolver,
        dns=spec.dns,
        memory_mb=spec.memory_mb,
        cpus=spec.cpus,
    )


async def _mounted(terms: Terms, recorder: DockerRecorder) -> DockerDelivery:
    await recorder.note(container(ACTION, reason=f"docker:host: {terms.engine_socket} is in the container"))
    return DockerDelivery(
        {"DOCKER_HOST": "unix:///var/run/docker.sock"},
        socket=terms.engine_socket,
        groups=(terms.engine_group,) if terms.engine_group is not None else (),
        programs=(CLIENT,),
    )


async def _relayed(
    terms: Terms,
    around: DockerSurroundings,
    engine: Runtime,
    recorder: DockerRecorder,
    say: Callable[[str], None],
) -> DockerDelivery:
    # What they import costs every run otherwise.
    from engine.run.docker.engine_relay import EngineRelay
    from engine.run.docker.keys import make_docker_keys

    (listener,) = await engine.bind(around.network, [Wanted("tcp", 0)])
    keys = make_docker_keys(DOCKER)
    relay = EngineRelay(listener, terms.engine_socket, keys, say)
    try:
        reason = f"docker:host: {terms.engine_socket} is reached at {DOCKER}:{relay.port}"
        await recorder.note(container(ACTION, reason=reason))
    except BaseException:
        relay.close()
        raise
    return DockerDelivery(
        agent_environment(port=relay.port),
        files=agent_files(keys),
        programs=(CLIENT,),
        hosts={DOCKER: terms.reach.bind},
        relay=relay,
    )


async def _inner(
    spec: RunSpec,
    around: DockerSurroundings,
    sidecars: Sidecars,
    engine: Runtime,
    recorder: DockerRecorder,
    say: Callable[[str], None],
) -> DockerDelivery:
    from engine.run.docker.keys import make_docker_keys  # what it imports costs every run otherwise

    keys = make_docker_keys(DOCKER)
    mount = next(mount for mount in spec.mounts if mount.target == WORKSPACE)
    workspace = Bind(str(mount.source), WORKSPACE, read_only=mount.read_only)

    async def daemon() -> bool:
        """Whether its own BuildKit works."""
        await sidecars.start(engine, dockerd_sidecar(around, spec.dind_image, keys, workspace), say)
        await sidecars.until_ready(DOCKER, say)
        return await sidecars.exit_code(DOCKER, BUILDKIT_PROBE) == 0

    async with asyncio.TaskGroup() as group:
        asking = group.create_task(daemon())
        trying = group.create_task(_buildkit(spec.buildkit_image, around, sidecars, engine, say))
    own, why_none = asking.result(), trying.result()
    built_by = builders(why_none, daemon=own)
    say(built_by)
    sidecar = not why_none
    await recorder.note(
        container(
            ACTION,
            privileged=True,
            reason=f"docker:dind: image {spec.dind_image}, sandbox {around.sandbox}; {built_by}",
            buildkit_enabled=sidecar or own,
            buildkit_container_id=sidecars.container_id(BUILDKIT) if sidecar else "",
            buildkit_network_id=around.network.id if sidecar else "",
        )
    )
    return DockerDelivery(
        agent_environment(sidecar=sidecar, daemon=own),
        files=agent_files(keys),
        home_files=(client_config(around.proxy_url),),
        programs=(CLIENT,),
    )


async def _buildkit(
    image: str, around: DockerSurroundings, sidecars: Sidecars, engine: Runtime, say: Callable[[str], None]
) -> str:
    """Start it; why there is none, "" where there is. A run can do without."""
    if not image:
        return "docker.buildkit_image in config.yaml is none"
    try:
        await sidecars.start(engine, buildkit_sidecar(around, image), say)
        await sidecars.until_ready(BUILDKIT, say)
    except RuntimeFailure as error:
        await sidecars.give_up(BUILDKIT)
        return error.what
    return ""
