"""The SSH grants of a run, found ready before anything starts: mappings stored, keys in the agent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.errors import GrantError
from engine.home import Home
from engine.proxy.destination import BadDestination, Destination, normalise_host
from engine.run.granted.ssh_delivery import SshAccess

if TYPE_CHECKING:
    from engine.ssh_agent import Mapping


async def open_ssh(home: Home, profile: str, names: tuple[str, ...]) -> SshAccess:
    """names: `ssh:HOST`. Raises GrantError for the first thing that a person has to mend."""
    from engine.ssh_agent import SshMappings, agent_keys, agent_socket

    stored = SshMappings(home, profile)
    grants = await asyncio.to_thread(stored.grants, names)
    mappings = tuple(item for item in stored.all() if item.grant in names)
    agent = agent_socket()
    held = {key.fingerprint for key in await agent_keys(agent)}
    for mapping in mappings:
        if mapping.key_fingerprint not in held:
            raise GrantError(
                f"the key that {mapping.grant} was granted with is not in your SSH agent "
                f"({mapping.key_fingerprint})",
                remedy="Add it with ssh-add, or grant the host again with another: "
                f"moat grant ssh --host {mapping.host}",
            )
    return SshAccess(grants, mappings, agent, tuple(map(_server, mappings)))


def _server(mapping: Mapping) -> Destination:
    try:
        host, is_ip = normalise_host(mapping.host)
    except BadDestination as error:
        raise GrantError(
            f"{mapping.grant} names no host that can be reached: {error}",
            remedy=f"Revoke it, and grant the host by its name: moat revoke {mapping.grant}",
        ) from error
    return Destination(host, mapping.port, is_ip)
