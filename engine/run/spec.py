"""From what a person asked and what agent.yaml asks to one settled description of a run.

Nothing is started here and nothing is written; every error a person can make is found here, before a
container, a network or a log exists. Flags win over the file where both name one thing; grants,
mounts and hosts add up.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from engine.config import (
    POLICIES,
    WORKSPACE,
    AgentConfig,
    HostRules,
    Mount,
    Port,
    Volume,
    check_env,
    check_rootfs,
    check_workspace,
    is_isolated,
    joined_ports,
    joined_volumes,
    load_agent_config,
    parse_grant,
    parse_host_pattern,
    parse_mount,
    parse_port,
    parse_volume,
    protected_places,
)
from engine.config.host import HostNetwork, load_host_config
from engine.errors import UsageError
from engine.home import Home
from engine.images import NO_PLAN, Plan, image_wishes, plan_image
from engine.proxy.destination import Destination
from engine.proxy.dial import ConnectTo, parse_connect_to
from engine.proxy.private import parse_private
from engine.proxy.upstream_proxy import UpstreamProxy, find_upstream_proxy
from engine.run.beside.services import Service, services_of
from engine.run.docker.access import settle_access
from engine.run.names import check_run_name, new_run_id, new_run_name
from engine.run.request import RunRequest
from engine.runtimes import ABILITIES, Abilities, choose_runtime


class RunSpec(msgspec.Struct, frozen=True):
    """A run, settled. `sandbox` is still a wish (None: the platform's default); the engine decides it."""

    id: str
    name: str
    agent: str
    workspace: Path
    config: AgentConfig  # without the grants that the person does not give
    request: RunRequest
    command: tuple[str, ...]
    image: str  # the one that it names, or that `plan` begins with
    plan: Plan
    runtime: str
    rootfs: Path | None  # in place of this machine's system, where there is no image
    hidden: tuple[str, ...]  # places of this machine that no run may see
    closed: bool  # whether the runtime has no other way out than the proxy, whatever the policy
    sandbox: bool | None
    policy: str
    allow: tuple[str, ...]
    rules: tuple[HostRules, ...]
    own_rules: tuple[HostRules, ...]  # the person's, of config.yaml
    approval_timeout: int  # seconds
    viewer: bool
    grants: tuple[str, ...]
    profile: str
    env: dict[str, str]
    secrets: dict[str, str]  # variable -> reference
    mounts: tuple[Mount, ...]  # the workspace's own first
    volumes: tuple[Volume, ...]
    ports: tuple[Port, ...]
    memory_mb: int | None
    cpus: float | None
    dns: tuple[str, ...]
    interactive: bool
    tty: bool
    keep: bool
    connect_to: tuple[ConnectTo, ...]
    upstream_ca: Path | None
    private: tuple[Destination, ...]
    upstream_proxy: UpstreamProxy | None
    passthrough: tuple[str, ...]
    transparent: bool | None  # None: where the proxy is the only way out
    decoys: bool
    workspace_record: bool
    services: tuple[Service, ...]
    docker: str  # "host", "dind" or "": engine/run/docker/access.py
    dind_image: str
    buildkit_image: str  # "" for none
    snapshot_at_start: bool

    @property
    def isolated(self) -> bool:
        """Whether the proxy is the container's only way out: by its runtime, or by its policy, which alone
        says what the proxy lets through.
        """
        return self.closed or is_isolated(self.policy)

    def __repr__(self) -> str:
        return f"RunSpec(id={self.id!r}, name={self.name!r}, env={sorted(self.env)})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """As __repr__: the values of `env` may be anything, and belong on no screen."""
        return [("id", self.id), ("name", self.name), ("env", sorted(self.env))]


def settle(home: Home, request: RunRequest) -> RunSpec:
    """Read the workspace's agent.yaml and the host's config.yaml, and combine them with `request`.

    Raises UsageError for a wish that makes no sense and ConfigError for a file that does not.
    """
    workspace = check_workspace(Path(request.workspace), home.root, worktree=bool(request.worktree))
    forbidden = (home.root,)
    config = _without(load_agent_config(workspace, forbidden).config, request)
    check_env(request.env, "-e/--env")
    name = check_run_name(request.name or config.name) if (request.name or config.name) else new_run_name()
    policy = request.policy or config.network.policy or POLICIES[0]
    if policy not in POLICIES:
        raise UsageError(f"unknown policy {policy!r}", remedy=f"Use one of: {', '.join(POLICIES)}.")
    runtime = choose_runtime(request.runtime, os.environ.get("MOAT_RUNTIME", ""), config.runtime)
    able = ABILITIES[runtime]
    _refuse_beyond(able, runtime, request, config)
    docker = settle_access(request.docker, config, runtime, policy)
    if is_isolated(policy) and config.container.dns:
        raise UsageError(
            f"container.dns cannot be used with the {policy} policy: no name is resolved in the container",
            remedy="Remove container.dns from agent.yaml, or use --policy permissive.",
        )
    plan = _plan(able, runtime, request, config)
    host = load_host_config(home)
    own = host.network
    interactive = request.interactive or config.interactive
    env, secrets = _variables(request, config)
    mounts = (*config.mounts, *(parse_mount(text, workspace, forbidden) for text in request.mounts))
    return RunSpec(
        id=new_run_id(),
        name=name,
        agent=config.agent,
        workspace=workspace,
        config=config,
        request=request,
        command=_command(request, config, interactive=interactive),
        image=plan.base,
        plan=plan,
        runtime=runtime,
        rootfs=check_rootfs(Path(request.rootfs), home.root) if request.rootfs else None,
        hidden=protected_places(home.root),
        closed=not able.open_network,
        sandbox=request.sandbox if request.sandbox is not None else config.sandbox,
        policy=policy,
        allow=_once((*config.network.allow, *map(_allowed_host, request.allow_hosts))),
        rules=config.network.rules,
        own_rules=own.rules,
        approval_timeout=own.approval_timeout,
        viewer=request.viewer,
        grants=_grants(config.grants, request.grants),
        profile=request.profile,
        env=env,
        secrets=secrets,
        mounts=_with_workspace(workspace, _check_targets(mounts)),
        volumes=joined_volumes(config.volumes, map(parse_volume, request.volumes), mounts),
        ports=joined_ports(config.ports, map(parse_port, request.publish)),
        memory_mb=config.container.memory,
        cpus=config.container.cpus,
        dns=config.container.dns,
        interactive=interactive,
        tty=interactive and request.tty,
        keep=request.keep,
        connect_to=tuple(parse_connect_to(text) for text in request.connect_to),
        upstream_ca=_upstream_ca(request.upstream_ca, "--upstream-ca") or _own_upstream_ca(own),
        upstream_proxy=find_upstream_proxy(own.upstream_proxy, os.environ),
        passthrough=_once((*own.passthrough, *config.network.passthrough)),
        transparent=config.network.transparent,
        decoys=request.decoys if request.decoys is not None else host.decoys or config.decoys,
        workspace_record=host.workspace_record,
        services=services_of(config),
        docker=docker,
        dind_image=host.docker.dind_image,
        buildkit_image=host.docker.buildkit_image,
        snapshot_at_start=host.snapshot_at_start,
        private=_private(request.allow_private, own.allow_private),
    )


def check_host_config(home: Home) -> None:
    """Raises, for what in config.yaml would stop every run, as `settle` does."""
    own = load_host_config(home).network
    _own_upstream_ca(own)
    find_upstream_proxy(own.upstream_proxy, os.environ)
    _private((), own.allow_private)


def _refuse_beyond(able: Abilities, runtime: str, request: RunRequest, config: AgentConfig) -> None:
    """Raise UsageError for a wish that the runtime cannot grant."""
    if able.images:
        if request.rootfs:
            raise UsageError(
                f"the runtime {runtime!r} runs images: it has no use for --rootfs",
                remedy="Name an image (--image), or use the runtime 'bubblewrap'.",
            )
    elif image := request.image or config.image:
        raise UsageError(
            f"the runtime {runtime!r} has no images, and {image} is one",
            remedy="Leave it out to use this machine's own programs, name a directory tree (--rootfs), or use"
            " the runtime 'docker'.",
        )
    elif request.keep:
        raise UsageError(
            f"--keep: the runtime {runtime!r} has no container that could stay",
            remedy="Leave it out; what the agent writes to the workspace stays.",
        )
    services = ", ".join(service.name for service in services_of(config))
    if services and not able.sidecars:
        raise UsageError(
            f"the runtime {runtime!r} cannot run services beside the agent: {services}",
            remedy="Leave them out of dependencies, or use the runtime 'docker'.",
        )
    if config.container.dns and not able.open_network:
        raise UsageError(
            f"container.dns cannot be used with the runtime {runtime!r}: no name is resolved there",
            remedy="Remove container.dns from agent.yaml.",
        )


def _plan(able: Abilities, runtime: str, request: RunRequest, config: AgentConfig) -> Plan:
    """Raises UsageError for what cannot be put together, or not with this runtime."""
    added = image_wishes(config.dependencies, config.hooks)
    if not able.images:
        if added:
            raise UsageError(
                f"the runtime {runtime!r} has no images, and {added[0]} would be put into one",
                remedy="Install it on this machine and leave it out, name a directory tree that has it"
                " (--rootfs), or use the runtime 'docker'.",
            )
        return NO_PLAN
    plan = plan_image(config.dependencies, config.hooks, request.image or config.image)
    if plan.steps and not able.builds:
        raise UsageError(
            f"the runtime {runtime!r} makes no images, and {plan.steps[0].title} would be put into one",
            remedy="Name an image that has it (--image) and leave it out, or use the runtime 'docker'.",
        )
    return plan


def _variables(request: RunRequest, config: AgentConfig) -> tuple[dict[str, str], dict[str, str]]:
    """Plain variables and references; what a person gave on the command line replaces either in the file."""
    if both := request.env.keys() & request.secrets.keys():
        raise UsageError(f"{min(both)} is given with --env and with --secret", remedy="Keep one of the two.")
    env = {name: value for name, value in config.env.items() if name not in request.secrets}
    secrets = {name: value for name, value in config.secrets.items() if name not in request.env}
    return {**env, **request.env}, {**secrets, **request.secrets}


def _without(config: AgentConfig, request: RunRequest) -> AgentConfig:
    """Leave out what the person does not give, so that nobody is asked to approve it either."""
    both = sorted({str(parse_grant(text)) for text in request.grants}.intersection(request.without_grants))
    if both:
        raise UsageError(
            f"{', '.join(both)} cannot be both granted and not granted", remedy="Say -g or --no-grant."
        )
    left_out = {*request.without_grants}
    kept = tuple(text for text in config.grants if left_out.isdisjoint({text, parse_grant(text).provider}))
    wanted = config.dependencies
    if request.docker:  # their own word, whatever the file's is
        wanted = tuple(each for each in wanted if each.kind != "docker")
    return msgspec.structs.replace(config, grants=kept, dependencies=wanted)


def _grants(asked: tuple[str, ...], given: tuple[str, ...]) -> tuple[str, ...]:
    """Each provider once, in the order of first mention. The person's own word on how far one goes counts,
    wider or narrower than agent.yaml's.
    """
    wishes = {wish.provider: str(wish) for wish in map(parse_grant, asked)}
    own: dict[str, str] = {}
    for wish in map(parse_grant, given):
        if own.setdefault(wish.provider, str(wish)) != str(wish):
            raise UsageError(
                f"{wish.provider} is granted twice: {own[wish.provider]} and {wish}",
                remedy="Keep one of them.",
            )
    return tuple((wishes | own).values())


def _allowed_host(text: str) -> str:
    try:
        return str(parse_host_pattern(text))
    except UsageError as error:
        raise UsageError(f"--allow-host {error.what}", detail=error.detail, remedy=error.remedy) from error


def _command(request: RunRequest, config: AgentConfig, *, interactive: bool) -> tuple[str, ...]:
    command = request.command or config.command
    if command:
        return command
    if request.image or config.image:
        return ()  # the image's own
    if interactive:
        return ("/bin/bash",)
    raise UsageError(
        "there is nothing to run",
        remedy="Give a command after --, as in: moat run -- CMD ARG…, or set `command:` in agent.yaml.",
    )


def _with_workspace(workspace: Path, mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """The workspace read-write, unless one of the mounts is the workspace itself and says otherwise."""
    if any(mount.target == WORKSPACE for mount in mounts):
        return mounts
    return (Mount(source=workspace, target=WORKSPACE), *mounts)


def _check_targets(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    seen: set[str] = set()
    for mount in mounts:
        if mount.target in seen:
            raise UsageError(f"two mounts have the target {mount.target}", remedy="Give each its own target.")
        seen.add(mount.target)
    return mounts


def _private(asked: tuple[str, ...], settled: tuple[str, ...]) -> tuple[Destination, ...]:
    found = [parse_private(text, "network.allow_private in config.yaml:") for text in settled]
    return tuple(dict.fromkeys([*found, *map(parse_private, asked)]))


def _own_upstream_ca(own: HostNetwork) -> Path | None:
    return _upstream_ca(own.upstream_ca, "network.upstream_ca in config.yaml:")


def _upstream_ca(name: str, said_by: str) -> Path | None:
    if not name:
        return None
    path = Path(name).expanduser().absolute()
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{said_by} {name}: {error.strerror}", remedy="Name a readable PEM file.") from error
    if b"-----BEGIN CERTIFICATE-----" not in text:
        raise UsageError(f"{said_by} {name} holds no PEM certificate", remedy="Name a PEM file.")
    return path


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    """First mention wins: the order decides which of several grants for one host is used."""
    return tuple(dict.fromkeys(names))
