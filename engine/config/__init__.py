"""What a run is asked to be: agent.yaml, `-e`, `-m`, and the host patterns of `network.allow`."""

from engine.config.agent_config import AgentConfig, ContainerConfig, LoadedConfig, NetworkConfig
from engine.config.agent_file import FILE_NAMES, load_agent_config
from engine.config.environment import check_env, parse_env_pair
from engine.config.hosts import HostPattern, parse_host_pattern
from engine.config.places import WORKSPACE, Mount, check_workspace, parse_mount

__all__ = [
    "FILE_NAMES",
    "WORKSPACE",
    "AgentConfig",
    "ContainerConfig",
    "HostPattern",
    "LoadedConfig",
    "Mount",
    "NetworkConfig",
    "check_env",
    "check_workspace",
    "load_agent_config",
    "parse_env_pair",
    "parse_host_pattern",
    "parse_mount",
]
