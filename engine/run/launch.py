"""From a settled spec to a started container behind a listening proxy.

The order is chosen for speed: the network comes first because the proxy's socket binds to its gateway, or
is made on it where the host has no address; the proxy's library imports in a thread while the daemon
works; the container starts before the proxy accepts, and its first connection waits in the socket's
backlog.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from engine.errors import MoatError, ProxyError
from engine.home import Home
from engine.run.beside.services import start_services, variables
from engine.run.beside.sidecar import Sidecars
from engine.run.docker.delivery import (
    DockerDelivery,
    DockerRecorder,
    deliver_docker,
    docker_surroundings,
    without_docker,
)
from engine.run.docker.inner import CLIENT_CONFIG
from engine.run.environment import container_environment, trust_files
from engine.run.granted.aws_delivery import AwsDelivery, deliver_aws
from engine.run.granted.injections import Granted
from engine.run.granted.ssh_delivery import SshDelivery, deliver_ssh
from engine.run.image.log import ImageLog
from engine.run.image.make import RunImage, have_images, made_image, unchanged
from engine.run.image.step import Surroundings
from engine.run.network.listeners import Listeners, open_listeners
from engine.run.network.port_relay import start_port_relay
from engine.run.network.publishing import Dial, Publishing, announced, publish
from engine.run.network.transparent import open_transparent, resolver_bind
from engine.run.pre_run import with_pre_run
from engine.run.proxy_life import ProxyLife
from engine.run.proxy_spec import granted_proxy_spec, proxy_url
from engine.run.spec import RunSpec
from engine.run.whole import whole
from engine.run.workspace.volumes import volume_binds
from engine.runtimes import (
    Attachment,
    Bind,
    Container,
    ContainerSpec,
    Network,
    ProxyReach,
    Runtime,
    Sandbox,
    Terms,
    Wanted,
    home_label,
)

if TYPE_CHECKING:
    from engine.audit import EntryData
    from engine.proxy import (
        CertificateAuthority,
        Holding,
        ProxyServer,
        ProxySpec,
        Recorder,
        TransparentSockets,
        Trust,
    )
    from engine.ssh_agent import SshRecorder

    class RunRecorder(Recorder, SshRecorder, DockerRecorder, Protocol):
        """Whoever keeps the run's audit log, for the proxy and for the SSH agent."""

        def learn(self, values: tuple[str, ...]) -> None:
            """Mask these too, in whatever is written from now on."""

        async def note(self, entry: EntryData) -> None: ...


@dataclass(frozen=True, slots=True)
class Launched:
    container: Container
    image: RunImage
    attachment: Attachment
    proxy: ProxyLife
    sandbox: Sandbox
    ssh: contextlib.AsyncExitStack
    docker: DockerDelivery
    listeners: Listeners | None
    sidecars: Sidecars
    publishing: Publishing
    dial: Dial

    async def close(self) -> None:
        """Close what this process holds of it; the container is the engine's to remove."""
        try:
            self.publishing.close()
            self.docker.close()
            await self.proxy.close()
            await self.ssh.aclose()
        finally:
            if self.listeners is not None:
                _close_listeners(self.listeners)
            await self.attachment.close()


async def launch(
    home: Home,
    spec: RunSpec,
    granted: Granted,
    engine: Runtime,
    recorder: RunRecorder,
    holding: Holding,
    ready: Callable[[], Awaitable[None]],
    sidecars: Sidecars,
    say: Callable[[str], None],
    planned: Callable[[tuple[str, ...]], None] = lambda layers: None,
) -> Launched:
    """Bring the run up; the agent starts when `ready` is over. planned: as engine/run/image/make.py.

    On any error, and when cancelled, nothing of this process stays open; what the engine was asked for is
    left for the caller to remove by its label.
    """
    async with asyncio.TaskGroup() as group, contextlib.AsyncExitStack() as undo:
        loading = None if engine.quick else group.create_task(asyncio.to_thread(_load_proxy))
        certificates = group.create_task(asyncio.to_thread(_certificates, home))
        here = group.create_task(have_images(engine, spec.plan, say))
        network = await _network(home, spec, engine, apart=spec.isolated)
        terms = await engine.terms(network, spec.sandbox, os.getuid(), os.getgid())
        listeners = None
        if terms.makes_listeners:
            try:
                relayed = granted.ssh is not None and not terms.mounts_sockets
                listeners = await open_listeners(home, spec, terms.user, engine, network, agent=relayed)
                undo.callback(_close_listeners, listeners)
            except (MoatError, OSError) as error:
                network = await _not_apart(home, spec, engine, error, say)
                terms = await engine.terms(network, spec.sandbox, os.getuid(), os.getgid())
        services = group.create_task(
            start_services(
                spec.services,
                granted.services,
                sidecars,
                engine,
                say,
                run_id=spec.id,
                home_label=home_label(home.root),
                network=network,
                sandbox=terms.sandbox,
            )
        )
        reach = terms.reach
        if terms.remark:
            say(terms.remark)
        if listeners is not None:
            listener, transparent = listeners.proxy, listeners.transparent
        else:
            listener = await _listen(engine, network, reach)
            undo.callback(_close_listener, listener)
            relay = partial(start_port_relay, home, spec, engine, network)
            transparent = await open_transparent(spec, reach, partial(engine.bind, network), relay, say)
            if transparent is not None:
                undo.callback(_close_transparent, transparent)
        publishing = publish(spec.ports, terms, _proxys_ports(listener, transparent), say)
        undo.callback(publishing.close)
        made = None
        if spec.plan.steps:  # before there is anything of a grant
            ca, trust = await certificates
            around = Surroundings(
                home, spec, engine, network, terms, listener, ca, trust, recorder, holding, say,
                ImageLog(home, spec.id),
            )  # fmt: skip
            made = await made_image(around, await here, planned)
        token = secrets.token_urlsafe(32)
        port = listener.getsockname()[1]
        ssh = await undo.enter_async_context(contextlib.AsyncExitStack())
        delivery = await ssh.enter_async_context(
            deliver_ssh(
                home,
                spec.id,
                granted.ssh,
                recorder,
                terms,
                (port, token),
                listeners.agent if listeners else None,
                isolated=spec.isolated,
            )
        )
        aws = deliver_aws(granted.aws, spec.id, (reach.host, port, token), recorder.learn, say)
        ca, trust = await certificates
        resolver = (resolver_bind(home, spec.id, transparent.address),) if transparent else ()
        beside = docker_surroundings(home, spec, network, terms, trust, (port, token), resolver)
        docker = await deliver_docker(spec, terms, beside, sidecars, engine, recorder, say)
        undo.callback(docker.close)
        image = made or unchanged(spec, await here, say)
        await services  # the agent finds them by their addresses
        container = await whole(
            engine.create(
                _container_spec(
                    home,
                    spec,
                    granted,
                    image,
                    network,
                    terms,
                    trust,
                    proxy_url(reach, port, token),
                    delivery,
                    resolver,
                    aws,
                    docker,
                    {**sidecars.hosts, **docker.hosts},
                    publishing.env,
                ),
            )
        )
        attachment = await container.attach()
        undo.push_async_callback(attachment.close)
        await ready()
        await sidecars.ready(say)
        starting = group.create_task(container.start())
        served = granted_proxy_spec(spec, granted, aws, token, reach, sidecars.strangers)
        proxy = ProxyLife(partial(_make_proxy, served, ca, recorder, holding), listener, transparent)
        undo.push_async_callback(proxy.close)
        if loading is not None:
            await loading
            await proxy.serve()
        await starting
        if decoys := [path for path in container.left_out if path != CLIENT_CONFIG]:
            say(f"no decoys where something lies already: ~/{', ~/'.join(decoys)}")
        docker_lacks = without_docker(container.left_out, container.lacking, spec.image)
        for line in (*docker_lacks, *announced(publishing)):
            say(line)
        undo.pop_all()
    dial = listeners.dial if listeners is not None else partial(engine.dial, network)
    return Launched(
        container, image, attachment, proxy, terms.sandbox, ssh, docker, listeners, sidecars, publishing, dial
    )


async def _network(home: Home, spec: RunSpec, engine: Runtime, *, apart: bool) -> Network:
    return await whole(engine.create_network(spec.id, home_label(home.root), spec.isolated, apart=apart))


async def _not_apart(
    home: Home, spec: RunSpec, engine: Runtime, error: MoatError | OSError, say: Callable[[str], None]
) -> Network:
    """Without what an apart network needs, the run has the usual one, and that is said."""
    why = error.what if isinstance(error, MoatError) else error.strerror
    open_to = "what listens on every address of this machine is in reach of this run"
    say(f"{open_to}: {why}; try: moat doctor --fix")
    await engine.remove_run(spec.id)
    return await _network(home, spec, engine, apart=False)


def _load_proxy() -> None:
    from engine.proxy import preload

    preload()


def _make_proxy(
    spec: ProxySpec, ca: CertificateAuthority, recorder: Recorder, holding: Holding
) -> ProxyServer:
    from engine.proxy import ProxyServer

    return ProxyServer(spec, ca, recorder, holding)


def _certificates(home: Home) -> tuple[CertificateAuthority, Trust]:
    """Reads and, the first time, makes files; so it runs in a thread."""
    from engine.proxy import CertificateAuthority

    authority = CertificateAuthority.load_or_create(home)
    return authority, authority.trust()


async def _listen(engine: Runtime, network: Network, reach: ProxyReach) -> socket.socket:
    """The proxy's socket, at the one address where the run's container reaches it."""
    try:
        (listener,) = await engine.bind(network, [Wanted("tcp", 0)])
    except OSError as error:
        raise ProxyError(
            f"the proxy cannot listen on {reach.bind}",
            detail=str(error),
            remedy="The Docker engine must run on this machine; check DOCKER_HOST.",
        ) from error
    return listener


def _close_listener(listener: socket.socket) -> None:
    """Also when the proxy was interrupted between taking it and being able to close it."""
    if listener.fileno() >= 0:
        asyncio.get_running_loop().remove_reader(listener.fileno())
        listener.close()


def _close_listeners(listeners: Listeners) -> None:
    for sock in listeners.sockets():
        _close_listener(sock)


def _close_transparent(transparent: TransparentSockets) -> None:
    for sock in transparent.sockets():
        _close_listener(sock)


def _proxys_ports(listener: socket.socket, transparent: TransparentSockets | None) -> set[int]:
    sockets = (listener, *(transparent.sockets() if transparent is not None else ()))
    return {sock.getsockname()[1] for sock in sockets}


def _container_spec(
    home: Home,
    spec: RunSpec,
    granted: Granted,
    image: RunImage,
    network: Network,
    terms: Terms,
    trust: Trust,
    proxy_url: str,
    ssh: SshDelivery,
    more: tuple[Bind, ...],
    aws: AwsDelivery,
    docker: DockerDelivery,
    beside: dict[str, str],
    ports: Mapping[str, str],
) -> ContainerSpec:
    hook = spec.config.hooks.pre_run
    if hook.strip():
        command = with_pre_run(hook, spec.command, image.facts, before=ssh.before)
    else:
        command = ssh.wrapped(spec.command)
    return ContainerSpec(
        run_id=spec.id,
        home_label=home_label(home.root),
        name=f"moat-{spec.id}",
        image=image.ref,
        command=command,
        entrypoint=not hook.strip(),
        env=container_environment(
            proxy_url=proxy_url,
            run_id=spec.id,
            placeholders={
                **granted.placeholders,
                **ssh.env,
                **aws.env,
                **docker.env,
                **variables(spec.services, granted.services),
                **ports,
            },
            user={**granted.secrets.values, **spec.env},
            java_store=bool(trust.java_store),
            beside=beside,
        ),
        binds=tuple(Bind(str(mount.source), mount.target, read_only=mount.read_only) for mount in spec.mounts)
        + volume_binds(home, spec.workspace, spec.volumes)
        + ssh.binds
        + more,
        files=(
            *trust_files(trust.certificate, trust.bundle, trust.java_store),
            *ssh.files,
            *aws.files,
            *docker.files,
            *granted.files,
        ),
        home_files=(*granted.decoys.files, *docker.home_files),
        engine_socket=docker.socket,
        groups=docker.groups,
        programs=docker.programs,
        user=terms.user,
        sandbox=terms.sandbox,
        network=network,
        extra_hosts={**terms.reach.extra_hosts, **beside},
        dns=spec.dns,
        rootfs=str(spec.rootfs or ""),
        hidden=spec.hidden,
        memory_mb=spec.memory_mb,
        cpus=spec.cpus,
        interactive=spec.interactive,
        tty=spec.tty,
    )
