"""What a run is asked to be: agent.yaml, `-e`, `-m`, the hosts of `network.allow` and `network.rules`."""

from engine.config.agent_config import AgentConfig, ContainerConfig, HooksConfig, LoadedConfig, NetworkConfig
from engine.config.agent_file import FILE_NAMES, load_agent_config
from engine.config.dependencies import Dependency, DependencyKind
from engine.config.environment import check_env, parse_env_pair
from engine.config.grant_limits import GrantWish, Limits, Scope, ScopeRule, parse_grant
from engine.config.hosts import HostPattern, parse_host_pattern
from engine.config.places import (
    WORKSPACE,
    Mount,
    check_rootfs,
    check_workspace,
    parse_mount,
    protected_places,
)
from engine.config.policies import POLICIES, is_isolated
from engine.config.ports import Port, joined_ports, parse_port
from engine.config.rules import HostRules, RequestRule
from engine.config.volumes import Volume, check_volume_name, joined_volumes, parse_volume

__all__ = [
    "FILE_NAMES",
    "POLICIES",
    "WORKSPACE",
    "AgentConfig",
    "ContainerConfig",
    "Dependency",
    "DependencyKind",
    "GrantWish",
    "HooksConfig",
    "HostPattern",
    "HostRules",
    "Limits",
    "LoadedConfig",
    "Mount",
    "NetworkConfig",
    "Port",
    "RequestRule",
    "Scope",
    "ScopeRule",
    "Volume",
    "check_env",
    "check_rootfs",
    "check_volume_name",
    "check_workspace",
    "is_isolated",
    "joined_ports",
    "joined_volumes",
    "load_agent_config",
    "parse_env_pair",
    "parse_grant",
    "parse_host_pattern",
    "parse_mount",
    "parse_port",
    "parse_volume",
    "protected_places",
]
