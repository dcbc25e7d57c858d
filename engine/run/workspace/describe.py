"""What a workspace's agent.yaml says, for a form that shows it before a run is started. Reads only."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from engine.errors import MoatError
from engine.home import Home


class WorkspaceInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """Empty means: not said. env holds names only; mounts as "SRC:DST:ro|rw", volumes as "NAME:TARGET:ro|rw",
    ports as "NAME:PORT"; memory_mb in 2^20 bytes.

    file: the name of the file, empty when the workspace has none. problem: up to three lines, why the
    directory or the file cannot be used; then nothing else is set.
    """

    path: str
    file: str = ""
    problem: tuple[str, ...] = ()
    name: str = ""
    agent: str = ""
    image: str = ""
    runtime: str = ""
    command: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    policy: str = ""
    allow: tuple[str, ...] = ()
    sandbox: bool | None = None
    interactive: bool = False
    decoys: bool = False
    mounts: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()  # "REFERENCE as VARIABLE"
    services: tuple[str, ...] = ()  # e.g. "postgres@17"
    tools: tuple[str, ...] = ()  # what is put into the image: "node@20", "npm:eslint", "jq"
    hooks: tuple[str, ...] = ()  # names
    memory_mb: int | None = None
    cpus: float | None = None
    docker: str = ""  # "host" or "dind"


def describe_workspace(home: Home, path: str) -> WorkspaceInfo:
    """Never raises for what is in the directory: that is told in `problem`. Blocking."""
    from engine.config import HooksConfig, check_workspace, load_agent_config
    from engine.config.agent_file import HOOKS
    from engine.images import image_wishes
    from engine.run.docker.access import access_of

    folder = Path(os.path.abspath(os.path.expanduser(path.strip() or ".")))
    try:
        workspace = check_workspace(folder, home.root)
        loaded = load_agent_config(workspace, (home.root,))
    except MoatError as error:
        return WorkspaceInfo(str(folder), problem=tuple(error.lines()))
    except (OSError, ValueError) as error:  # a path with a NUL in it, a directory that goes away
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        return WorkspaceInfo(str(folder), problem=(f"{folder}: {reason}",))
    config = loaded.config
    return WorkspaceInfo(
        str(workspace),
        file=loaded.file.name if loaded.file else "",
        name=config.name,
        agent=config.agent,
        image=config.image,
        runtime=config.runtime,
        command=config.command,
        grants=config.grants,
        policy=config.network.policy,
        allow=config.network.allow,
        sandbox=config.sandbox,
        interactive=config.interactive,
        decoys=config.decoys,
        mounts=tuple(f"{m.source}:{m.target}:{'ro' if m.read_only else 'rw'}" for m in config.mounts),
        volumes=tuple(map(str, config.volumes)),
        ports=tuple(map(str, config.ports)),
        env=tuple(config.env),
        secrets=tuple(f"{reference} as {name}" for name, reference in config.secrets.items()),
        tools=image_wishes(config.dependencies, HooksConfig()),
        hooks=tuple(name for name in HOOKS if getattr(config.hooks, name).strip()),
        services=tuple(str(wanted) for wanted in config.dependencies if wanted.kind == "service"),
        memory_mb=config.container.memory,
        cpus=config.container.cpus,
        docker=access_of(config),
    )
