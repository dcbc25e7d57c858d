"""The SSH agent room: a run may log in to granted hosts with the person's keys, and nothing else.

wire, keys, messages   the protocol, pure        agent         the container's questions on one side,
gatekeeper             what may pass, pure                     the person's own agent on the other
mappings               what was granted          endpoint      where the container connects to
offer                  what can be granted       known_hosts   which keys a host has
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import exports

if TYPE_CHECKING:
    from engine.ssh_agent.agent import SshAgent as SshAgent
    from engine.ssh_agent.agent import SshRecorder as SshRecorder
    from engine.ssh_agent.endpoint import SshEndpoint as SshEndpoint
    from engine.ssh_agent.gatekeeper import SIGN_ALLOWED as SIGN_ALLOWED
    from engine.ssh_agent.gatekeeper import SshEvent as SshEvent
    from engine.ssh_agent.gatekeeper import SshGrant as SshGrant
    from engine.ssh_agent.keys import fingerprint as fingerprint
    from engine.ssh_agent.keys import key_type as key_type
    from engine.ssh_agent.known_hosts import host_name as host_name
    from engine.ssh_agent.known_hosts import pinned_keys as pinned_keys
    from engine.ssh_agent.known_hosts import scanned_keys as scanned_keys
    from engine.ssh_agent.mappings import PREFIX as PREFIX
    from engine.ssh_agent.mappings import Mapping as Mapping
    from engine.ssh_agent.mappings import SshMappings as SshMappings
    from engine.ssh_agent.offer import SshKey as SshKey
    from engine.ssh_agent.offer import SshOffer as SshOffer
    from engine.ssh_agent.offer import agent_keys as agent_keys
    from engine.ssh_agent.offer import agent_socket as agent_socket
    from engine.ssh_agent.offer import find_offer as find_offer
    from engine.ssh_agent.offer import shown_key as shown_key

_HOMES = {
    ".agent": ("SshAgent", "SshRecorder"),
    ".endpoint": ("SshEndpoint",),
    ".gatekeeper": ("SIGN_ALLOWED", "SshEvent", "SshGrant"),
    ".keys": ("fingerprint", "key_type"),
    ".mappings": ("PREFIX", "Mapping", "SshMappings"),
    ".offer": ("SshKey", "SshOffer", "agent_keys", "agent_socket", "find_offer", "shown_key"),
    ".known_hosts": ("host_name", "pinned_keys", "scanned_keys"),
}
__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = exports(__name__, _HOMES)
