"""Which socket of the engine's a container could be shown, and whose group may use it."""

from __future__ import annotations

import os
import socket

import msgspec
import pytest

from engine.runtimes import EngineInfo, ProxyReach, Terms
from engine.runtimes.docker.own_socket import with_engine_socket

LINUX = EngineInfo("20", "1.41", "linux", "amd64", "linux", frozenset({"runc"}), False, "x")
TERMS = Terms("standard", ProxyReach("h", "127.0.0.1", {}, "127.0.0.0/8"), "1000:1000", True)


@pytest.fixture
def engine(tmp_path):
    """A unix socket's address."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        yield path


def test_the_socket_of_the_engine_that_is_used_with_its_group(engine):
    terms = with_engine_socket(TERMS, f"unix://{engine}", LINUX)
    assert (terms.engine_socket, terms.engine_group) == (str(engine), os.stat(engine).st_gid)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:2375", "unix:///nowhere/docker.sock"])
def test_none_where_there_is_no_socket(address):
    assert with_engine_socket(TERMS, address, LINUX).engine_socket == ""


def test_docker_desktops_is_in_its_own_machine():
    desktop = msgspec.structs.replace(LINUX, platform="desktop")
    terms = with_engine_socket(TERMS, "unix:///Users/me/.docker/run/docker.sock", desktop)
    assert (terms.engine_socket, terms.engine_group) == ("/var/run/docker.sock", 0)
