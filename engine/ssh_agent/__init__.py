"""The SSH agent room: a run may log in to granted hosts with the person's keys, and nothing else.

wire, keys, messages   the protocol, pure        agent         sockets: container on one side,
gatekeeper             what may pass, pure                     the person's agent on the other
                                                 known_hosts   which keys a host has
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import exports

if TYPE_CHECKING:
    from engine.ssh_agent.agent import SshAgent as SshAgent
    from engine.ssh_agent.agent import SshRecorder as SshRecorder
    from engine.ssh_agent.gatekeeper import SshEvent as SshEvent
    from engine.ssh_agent.gatekeeper import SshGrant as SshGrant
    from engine.ssh_agent.keys import fingerprint as fingerprint
    from engine.ssh_agent.known_hosts import host_name as host_name
    from engine.ssh_agent.known_hosts import pinned_keys as pinned_keys
    from engine.ssh_agent.known_hosts import scanned_keys as scanned_keys

_HOMES = {
    ".agent": ("SshAgent", "SshRecorder"),
    ".gatekeeper": ("SshEvent", "SshGrant"),
    ".keys": ("fingerprint",),
    ".known_hosts": ("host_name", "pinned_keys", "scanned_keys"),
}
__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = exports(__name__, _HOMES)
