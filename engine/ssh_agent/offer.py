"""What a person can choose from when they grant an SSH host: their agent's keys, and the host's own."""

from __future__ import annotations

import os
from collections.abc import Mapping as Environment
from pathlib import Path

import msgspec

from engine.daemon_thread import in_daemon_thread
from engine.errors import GrantError
from engine.ssh_agent.agent import AgentUnavailable, ask
from engine.ssh_agent.keys import fingerprint, key_type
from engine.ssh_agent.known_hosts import host_name, pinned_keys, scanned_keys
from engine.ssh_agent.messages import REQUEST_IDENTITIES, parse_identities
from engine.ssh_agent.wire import Malformed


class SshKey(msgspec.Struct, frozen=True):
    """A public key for people: `kind` is e.g. "ssh-ed25519", `comment` what its owner wrote."""

    fingerprint: str
    kind: str
    comment: str = ""


class SshOffer(msgspec.Struct, frozen=True):
    """keys: the person's own. pinned: whether `host_keys` are from known_hosts; otherwise the host showed
    them just now, and a person has to compare them. blobs: base64 of host_keys, to be stored with the grant.
    """

    host: str
    port: int
    keys: tuple[SshKey, ...]
    pinned: bool
    host_keys: tuple[SshKey, ...]
    blobs: tuple[str, ...]


def agent_socket(environ: Environment[str, str] = os.environ) -> Path:
    """The person's agent. Raises GrantError when none is named."""
    name = environ.get("SSH_AUTH_SOCK", "")
    if not name:
        raise GrantError(
            "there is no SSH agent here (SSH_AUTH_SOCK is not set)",
            remedy='Start one and add your key: eval "$(ssh-agent)" && ssh-add',
        )
    return Path(name)


async def agent_keys(socket: Path) -> tuple[SshKey, ...]:
    """What the agent at `socket` holds. Raises GrantError when it does not answer, or holds nothing."""
    try:
        identities = parse_identities(await ask(socket, bytes([REQUEST_IDENTITIES])))
    except (AgentUnavailable, Malformed) as error:
        raise GrantError(
            f"the SSH agent at {socket} does not answer",
            detail=str(error),
            remedy="Check SSH_AUTH_SOCK: ssh-add -l must list your keys.",
        ) from error
    if not identities:
        raise GrantError("the SSH agent holds no key", remedy="Add one: ssh-add ~/.ssh/id_ed25519")
    return tuple(shown_key(item.blob, item.comment) for item in identities)


async def find_offer(text: str, environ: Environment[str, str] = os.environ) -> SshOffer:
    """For `HOST` or `HOST:PORT`. May take seconds where the host is not in known_hosts and has to be asked.

    Raises GrantError for what stands in the way.
    """
    import base64

    host, port = host_name(text)
    keys = await agent_keys(agent_socket(environ))
    blobs = await in_daemon_thread(lambda: pinned_keys(host, port))
    pinned = bool(blobs)
    if not pinned:
        blobs = await in_daemon_thread(lambda: scanned_keys(host, port))
    ordered = sorted(blobs, key=fingerprint)
    return SshOffer(
        host,
        port,
        keys,
        pinned,
        tuple(shown_key(blob) for blob in ordered),
        tuple(base64.b64encode(blob).decode() for blob in ordered),
    )


def shown_key(blob: bytes, comment: bytes = b"") -> SshKey:
    """A public key's blob as people compare it."""
    try:
        kind = key_type(blob)
    except Malformed:
        kind = "unknown"
    return SshKey(fingerprint(blob), kind, comment.decode("utf-8", "replace"))
