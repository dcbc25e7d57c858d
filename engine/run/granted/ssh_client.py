"""What makes the SSH clients of a container reach the run's granted servers, and know them.

OpenSSH reads these files after the user's own, so whatever a user settled stays. A granted server is
reached through the run's proxy whatever the policy, so that each connection is recorded; a helper carries
the bytes with whatever tool the image has. Where there is none, an open network's direct way is left.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from importlib import resources
from typing import TYPE_CHECKING

from engine.proxy.ssh import SSH_PORT
from engine.runtimes import PlacedFile

if TYPE_CHECKING:
    from engine.ssh_agent import Mapping

KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"
CONFIG = "/etc/ssh/ssh_config.d/moat.conf"
OWN = "/moat/ssh"
_HELPER = f"{OWN}/connect"


def client_files(
    mappings: Iterable[Mapping], place: tuple[str, int, str], *, isolated: bool
) -> tuple[PlacedFile, ...]:
    """place: host and port of the proxy as the container reaches it, and the run's token.

    isolated: whether the proxy is the container's only way out.
    """
    host, port, token = place
    credentials = base64.b64encode(f"moat:{token}".encode()).decode()
    return (
        PlacedFile(KNOWN_HOSTS, known_hosts(mappings)),
        PlacedFile(CONFIG, client_config(mappings, isolated=isolated)),
        PlacedFile(_HELPER, in_container("ssh_connect.sh"), mode=0o755),
        PlacedFile(f"{OWN}/proxy", f"{host} {port} {credentials}\n".encode()),
    )


def known_hosts(mappings: Iterable[Mapping]) -> bytes:
    """The pinned keys, so that the agent's ssh asks nobody whether it may trust them."""
    from engine.ssh_agent import key_type

    text = ""
    for mapping in mappings:
        host, port = mapping.host, mapping.port
        names = host if port == SSH_PORT else f"{host},[{host}]:{port}"
        for blob in sorted(mapping.blobs()):
            text += f"{names} {key_type(blob)} {base64.b64encode(blob).decode()}\n"
    return text.encode()


def client_config(mappings: Iterable[Mapping], *, isolated: bool) -> bytes:
    """A part of ssh_config(5). `Match host` goes by the name that an alias of the user's stands for."""
    text = "# Moat: the run's granted SSH servers, by way of its proxy\n"
    for mapping in mappings:
        if mapping.port != SSH_PORT:
            text += f"Match host {mapping.host}\n  Port {mapping.port}\n"
        able = f' exec "test %p = {mapping.port} && {_HELPER} --able"'
        text += f"Match host {mapping.host}{'' if isolated else able}\n  ProxyCommand {_HELPER} %h %p\n"
    return text.encode()


def in_container(name: str) -> bytes:
    """A script of `in_container/`."""
    return resources.files("engine.run").joinpath("in_container", name).read_bytes()
