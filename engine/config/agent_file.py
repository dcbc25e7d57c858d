"""agent.yaml (or moat.yaml) of a workspace, read into AgentConfig.

name, agent, version, image      text
runtime                          docker, bubblewrap or apple
command                          a list (run as it is) or one line (run by `sh -c`)
grants                           list of provider names, scopes, or of {name, methods, paths, …}
env                              mapping of variable to text or number
secrets                          mapping of variable to op://…, ssm://… or env://…
mounts                           list of SRC:DST[:ro|rw], or of {source, target, mode}
network                          policy (permissive, strict, ask), allow (list of host, *.host, host:port),
                                 rules (list of host, or of host with its rules: engine/config/rules.py),
                                 transparent (true, false), passthrough (list as allow)
interactive                      true or false
decoys                           true: plant bait in the container
sandbox                          false or none: without gVisor; true or gvisor: with it
container                        memory (MB), cpus, dns (list of addresses)
dependencies                     list of words: engine/config/dependencies.py
services                         mapping of a service among them to image, env, wait
hooks                            post_build_root, post_build, pre_run: lines for `sh -ec`
ports                            mapping of name to port: engine/config/ports.py
volumes                          list of NAME:TARGET[:ro|rw], or of {name, target, readonly}:
                                 engine/config/volumes.py
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from pathlib import Path

from engine.config.agent_config import AgentConfig, ContainerConfig, HooksConfig, LoadedConfig, NetworkConfig
from engine.config.agent_grants import read_grants
from engine.config.agent_services import read_services
from engine.config.dependencies import Dependency, check_dependencies, parse_dependency
from engine.config.environment import env_problem
from engine.config.hosts import host_patterns
from engine.config.places import Mount, build_mount, parse_mount
from engine.config.policies import POLICIES
from engine.config.ports import read_ports
from engine.config.rules import read_rules
from engine.config.secret_reference import parse_reference
from engine.config.values import Value, nearest, shown
from engine.config.volumes import read_volumes
from engine.config.yaml_tree import Items, Mapping, Scalar, read_yaml
from engine.errors import ConfigError, UsageError

FILE_NAMES = ("agent.yaml", "moat.yaml")

_KEYS = (
    "name", "agent", "version", "image", "runtime", "dependencies", "grants", "env", "secrets", "mounts",
    "ports", "network", "command", "interactive", "sandbox", "container", "decoys", "hooks", "services",
    "volumes",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,62}")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
HOOKS = ("post_build_root", "post_build", "pre_run")
_HOOK_BYTES = 64 * 1024  # the kernel takes no word of a command longer than 128 KiB
_RUNTIMES = ("docker", "bubblewrap", "apple")


def load_agent_config(workspace: Path, forbidden: Sequence[Path] | None = None) -> LoadedConfig:
    """The workspace's configuration, defaults when it has none. Raises ConfigError.

    forbidden: host places that no mount may show; None is the default home, `~/.moat` or MOAT_HOME.
    """
    present = [workspace / name for name in FILE_NAMES if os.path.lexists(workspace / name)]
    if not present:
        return LoadedConfig(AgentConfig(), None)
    if len(present) > 1:
        raise ConfigError(
            "expected one of agent.yaml and moat.yaml, found both",
            file=present[1],
            remedy="Keep one of the two files.",
        )
    file = present[0]
    tree = read_yaml(file)
    if tree is None:
        return LoadedConfig(AgentConfig(), file)
    root = Value(file, "", tree)
    if not isinstance(tree, Mapping) and not root.empty:
        raise root.wrong("a mapping of keys to values", remedy="Start with a line such as `name: my-agent`.")
    return LoadedConfig(_read(root.section(_KEYS), workspace, forbidden), file)


def load_network_config(file: Path) -> NetworkConfig:
    """The `network:` of a file as agent.yaml, which needs nothing else in it. Raises ConfigError."""
    tree = read_yaml(file)
    root = Value(file, "", tree if tree is not None else Mapping((), 1))
    keys = root.section(_KEYS)
    return _network(keys["network"]) if "network" in keys else NetworkConfig()


def _read(keys: dict[str, Value], workspace: Path, forbidden: Sequence[Path] | None) -> AgentConfig:
    found: dict[str, object] = {}
    for key, value in keys.items():
        match key:
            case "name" | "agent":
                found[key] = value.matching(_NAME, "a name of letters, digits, dots, - and _")
            case "version":
                found[key] = value.matching(_VERSION, "a version such as 1.2.3", numbers=True)
            case "image":
                found[key] = value.matching(_IMAGE, "an image such as debian:bookworm-slim")
            case "runtime":
                found[key] = _runtime(value)
            case "command":
                found[key] = _command(value)
            case "grants":
                found[key] = read_grants(value)
            case "env":
                found[key] = _env(value)
            case "secrets":
                found[key] = _secrets(value)
            case "mounts":
                found[key] = _mounts(value, workspace, forbidden)
            case "network":
                found[key] = _network(value)
            case "interactive" | "decoys":
                found[key] = value.flag()
            case "sandbox":
                found[key] = _sandbox(value)
            case "container":
                found[key] = _container(value)
            case "dependencies":
                found[key] = _dependencies(value)
            case "hooks":
                found[key] = _hooks(value)
            case "services":
                found[key] = read_services(value, _IMAGE)
            case "ports":
                found[key] = read_ports(value)
            case "volumes":
                found[key] = read_volumes(value)
    if "secrets" in keys and "env" in keys:
        both = sorted({*keys["secrets"].pairs("")} & {*keys["env"].pairs("")})
        if both:
            raise keys["secrets"].refused(f"{both[0]} is set in env too", remedy="Keep one of the two.")
    config = AgentConfig(**found)  # type: ignore[arg-type]  # each case above has the field's type
    for name in config.services:
        if not any(wanted.kind == "service" and wanted.name == name for wanted in config.dependencies):
            raise keys["services"].refused(
                f"{name} is not among the dependencies", remedy=f"Add it there, with a version: {name}@…"
            )
    return config


def _runtime(value: Value) -> str:
    text = value.text("docker")
    if text not in _RUNTIMES:
        raise value.wrong("docker, bubblewrap or apple", remedy=nearest(text, _RUNTIMES))
    return text


def _command(value: Value) -> tuple[str, ...]:
    if value.empty or isinstance(value.node, Mapping):
        raise value.wrong("a list of words, or one line for sh -c")
    value.verbatim = True
    if isinstance(value.node, Items):
        words = tuple(word.text_or_number("text") for word in value.items("words"))
        if not words[0].strip():
            raise value.refused("expected a program as the first word, found an empty one")
        return words
    line = value.text("a list of words, or text for sh -c")
    if not line.strip():
        raise value.wrong("a list of words, or text for sh -c")
    return ("sh", "-c", line)


def _env(value: Value) -> dict[str, str]:
    value.private = value.verbatim = True
    env: dict[str, str] = {}
    for name, item in value.pairs("variables to text").items():
        env[name] = item.text_or_number()
        if problem := env_problem(name, env[name]):
            raise item.refused(problem[0], remedy=problem[1])
    return env


def _secrets(value: Value) -> dict[str, str]:
    value.private = True  # who mistakes this for `env` puts the secret itself here
    secrets: dict[str, str] = {}
    for name, item in value.pairs("variables to references").items():
        if problem := env_problem(name, ""):
            raise item.refused(problem[0], remedy=problem[1])
        try:
            secrets[name] = str(parse_reference(item.text("a reference such as op://vault/item/field")))
        except UsageError as error:
            raise item.explained(error) from None
    return secrets


def _mounts(value: Value, workspace: Path, forbidden: Sequence[Path] | None) -> tuple[Mount, ...]:
    mounts: list[Mount] = []
    for item in value.items("SRC:DST mounts"):
        try:
            mount = _mount(item, workspace, forbidden)
        except UsageError as error:
            raise item.explained(error) from None
        if any(mount.target == other.target for other in mounts):
            raise item.refused(f"expected each target once, found {shown(mount.target)} again")
        mounts.append(mount)
    return tuple(mounts)


def _mount(item: Value, workspace: Path, forbidden: Sequence[Path] | None) -> Mount:
    if not isinstance(item.node, Mapping):
        return parse_mount(item.text("SRC:DST[:ro|rw]"), workspace, forbidden)
    parts = item.section(("source", "target", "mode"))
    for needed in ("source", "target"):
        if needed not in parts:
            raise item.refused(f"expected source and target, found no {needed}")
    mode = parts["mode"].choice(("ro", "rw")) if "mode" in parts else "rw"
    source, target = parts["source"].text("a path"), parts["target"].text("a path")
    return build_mount(source, target, mode, workspace, forbidden)


def _network(value: Value) -> NetworkConfig:
    keys = value.section(("policy", "allow", "rules", "transparent", "passthrough"))
    return NetworkConfig(
        policy=keys["policy"].choice(POLICIES) if "policy" in keys else "",
        allow=host_patterns(keys["allow"]) if "allow" in keys else (),
        rules=read_rules(keys["rules"]) if "rules" in keys else (),
        transparent=keys["transparent"].flag() if "transparent" in keys else None,
        passthrough=host_patterns(keys["passthrough"]) if "passthrough" in keys else (),
    )


def _sandbox(value: Value) -> bool:
    if isinstance(value.node, Scalar) and value.node.kind == "text":
        return value.choice(("gvisor", "none", "true", "false")) in ("gvisor", "true")
    return value.flag()


def _container(value: Value) -> ContainerConfig:
    keys = value.section(("memory", "cpus", "dns"))
    # 6 MB is the least that Docker takes.
    memory = keys["memory"].whole(6, 16 * 1024 * 1024, "MB") if "memory" in keys else None
    cpus = keys["cpus"].decimal(0.01, 1024, "cpus") if "cpus" in keys else None
    dns: list[str] = []
    for item in keys["dns"].items("IP addresses") if "dns" in keys else ():
        try:
            dns.append(str(ipaddress.ip_address(item.text("an IP address"))))
        except ValueError:
            raise item.wrong("an IP address") from None
    return ContainerConfig(memory, cpus, tuple(dns))


def _dependencies(value: Value) -> tuple[Dependency, ...]:
    wanted: list[Dependency] = []
    for item in value.items("dependencies such as node@20"):
        try:
            wanted.append(parse_dependency(item.text("a dependency such as node@20")))
            check_dependencies(wanted)
        except UsageError as error:
            raise item.explained(error) from None
    return tuple(wanted)


def _hooks(value: Value) -> HooksConfig:
    value.verbatim = True
    hooks: dict[str, str] = {}
    for name, item in value.section(HOOKS).items():
        hooks[name] = item.text("lines for sh -ec")
        if not hooks[name].isascii() and any("\ud800" <= each <= "\udfff" for each in hooks[name]):
            raise item.refused("expected lines for sh -ec, found half a character")
        if "\0" in hooks[name]:
            raise item.refused("expected lines for sh -ec, found a NUL character")
        if len(hooks[name].encode(errors="replace")) > _HOOK_BYTES:
            raise item.refused(f"expected at most {_HOOK_BYTES:,} bytes", remedy="Put them into a script.")
    return HooksConfig(**hooks)
