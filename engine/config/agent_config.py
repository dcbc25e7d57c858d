"""What a workspace's agent.yaml may say, as types. Empty means: not said."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.config.dependencies import Dependency
from engine.config.places import Mount
from engine.config.ports import Port
from engine.config.rules import HostRules
from engine.config.volumes import Volume


class NetworkConfig(msgspec.Struct, frozen=True):
    """policy: "" or one of POLICIES; allow, passthrough: host patterns, e.g. `*.example.com:8443`.

    transparent: whether clients that ignore the proxy reach it all the same; None leaves it to the policy.
    """

    policy: str = ""
    allow: tuple[str, ...] = ()
    rules: tuple[HostRules, ...] = ()
    transparent: bool | None = None
    passthrough: tuple[str, ...] = ()


class ContainerConfig(msgspec.Struct, frozen=True):
    """memory in MB (2^20 bytes), cpus as a share of cores (1.5), dns as IP addresses."""

    memory: int | None = None
    cpus: float | None = None
    dns: tuple[str, ...] = ()


class HooksConfig(msgspec.Struct, frozen=True):
    """Lines for `sh -ec`; "" is none. post_build_root, post_build: once, while the image is made, as root and
    as the agent's user. pre_run: in every container, before the command, as the agent.
    """

    post_build_root: str = ""
    post_build: str = ""
    pre_run: str = ""


class ServiceConfig(msgspec.Struct, frozen=True):
    """image: in place of the official one. env: further variables of its server. wait: whether the agent
    starts only once the service can be used.
    """

    image: str = ""
    env: dict[str, str] = {}
    wait: bool = True


class AgentConfig(msgspec.Struct, frozen=True):
    """sandbox: False turns gVisor off, True asks for it, None leaves it to the platform.

    decoys: True plants bait; False asks for nothing, and so turns nobody else's wish for it off.
    command: exec form; a single line in the file became `sh -c LINE`.
    grants: as engine.config.grant_limits spells them.
    """

    name: str = ""
    agent: str = ""
    version: str = ""
    image: str = ""
    runtime: str = ""
    command: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    env: dict[str, str] = {}
    mounts: tuple[Mount, ...] = ()
    network: NetworkConfig = NetworkConfig()
    interactive: bool = False
    sandbox: bool | None = None
    container: ContainerConfig = ContainerConfig()
    secrets: dict[str, str] = {}  # variable -> reference, checked
    decoys: bool = False
    dependencies: tuple[Dependency, ...] = ()
    hooks: HooksConfig = HooksConfig()
    services: dict[str, ServiceConfig] = {}  # only of services among the dependencies
    ports: tuple[Port, ...] = ()
    volumes: tuple[Volume, ...] = ()


class LoadedConfig(msgspec.Struct, frozen=True):
    """file is None when the workspace has neither agent.yaml nor moat.yaml."""

    config: AgentConfig
    file: Path | None
