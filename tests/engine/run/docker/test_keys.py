"""TLS between an agent and its own Docker daemon."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from engine.run.docker.keys import DockerKeys, make_docker_keys


def context(
    directory: Path, trusted: bytes, pair: tuple[bytes, bytes] | None, *, server: bool
) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(cadata=trusted.decode())
    if server:
        made.verify_mode = ssl.CERT_REQUIRED
    if pair is not None:
        file = directory / f"{'server' if server else 'client'}.pem"
        file.write_bytes(b"".join(pair))
        made.load_cert_chain(file)
    return made


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """In memory; raises what either end does."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname=name),
        server.wrap_bio(up, down, server_side=True),
    ]
    left = set(ends)
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
                left.discard(end)
            except ssl.SSLWantReadError:
                pass
    assert not left


def keys_of(keys: DockerKeys, *, server: bool) -> tuple[bytes, bytes]:
    if server:
        return keys.server_certificate, keys.server_key
    return keys.client_certificate, keys.client_key


def test_the_agent_and_its_daemon_know_each_other(tmp_path):
    keys = make_docker_keys("docker")
    server = context(tmp_path, keys.authority, keys_of(keys, server=True), server=True)
    client = context(tmp_path, keys.authority, keys_of(keys, server=False), server=False)
    handshake(server, client, "docker")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client, "elsewhere")


def test_nobody_else_is_let_in(tmp_path):
    keys, others = make_docker_keys("docker"), make_docker_keys("docker")
    server = context(tmp_path, keys.authority, keys_of(keys, server=True), server=True)
    for pair in (
        None,
        keys_of(others, server=False),  # another run's agent
        keys_of(keys, server=True),  # the daemon's own, which is no client's
    ):
        client = context(tmp_path, keys.authority, pair, server=False)
        with pytest.raises(ssl.SSLError):
            handshake(server, client, "docker")


def test_keys_stand_in_no_message():
    assert "PRIVATE" not in repr(make_docker_keys("docker"))
