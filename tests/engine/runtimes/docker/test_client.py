from __future__ import annotations

import asyncio
import errno

import pytest

from engine.errors import RuntimeUnavailable
from engine.runtimes import DockerRuntime
from engine.runtimes.docker import client as client_module
from engine.runtimes.docker.address import Endpoint
from engine.runtimes.docker.client import agree_on_api, engine_info, unreachable


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [
        ("1.41", "1.12", "v1.41"),  # Docker 20.10
        ("1.43", "1.12", "v1.43"),
        ("1.47", "1.24", "v1.44"),  # Docker 27
        ("1.52", "1.44", "v1.44"),  # Docker 29 refuses less
        ("1.60", "1.50", "v1.50"),
        ("1.44", "", "v1.44"),
    ],
)
def test_both_ends_agree_on_a_version(newest, oldest, spoken) -> None:
    assert agree_on_api(newest, oldest) == spoken


@pytest.mark.parametrize("newest", ["1.40", "1.9", "", "new"])
def test_an_engine_that_is_too_old_is_told_so(newest) -> None:
    with pytest.raises(RuntimeUnavailable, match="too old"):
        agree_on_api(newest, "1.12")


@pytest.mark.parametrize(
    ("system", "operating_system", "name", "platform"),
    [
        ("linux", "Debian GNU/Linux 12 (bookworm)", "", "linux"),
        ("linux", "Docker Desktop", "Docker Desktop 4.40.0", "desktop"),
        ("linux", "", "Docker Desktop 4.40.0 (1)", "desktop"),
        ("darwin", "OrbStack", "", "desktop"),
        ("win32", "Ubuntu", "", "desktop"),
    ],
)
def test_who_runs_in_a_machine_of_its_own(system, operating_system, name, platform) -> None:
    version = {"Version": "28.0", "Os": "linux", "Arch": "amd64", "Platform": {"Name": name}}
    info = {"OperatingSystem": operating_system, "Runtimes": {"runc": {}, "runsc": {}}}
    found = engine_info(version, info, "v1.44", system)
    assert found.platform == platform
    assert found.api_version == "1.44"
    assert found.runtimes == {"runc", "runsc"}
    assert not found.rootless


def test_a_rootless_engine_is_seen_and_gaps_are_survived() -> None:
    found = engine_info(
        {"Platform": None}, {"SecurityOptions": ["name=rootless"], "Runtimes": None}, "v1.41", "linux"
    )
    assert found.rootless
    assert found.runtimes == frozenset()


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("ssh://box", "on this machine"),
        ("tcp://10.0.0.1:2375", "on this machine"),
        ("https://127.0.0.1:2376", "no TLS"),
        ("nonsense", "on this machine"),
        ("unix:///nowhere/docker.sock", "no such socket"),
        ("tcp://127.0.0.1:1", "Nobody listens"),
    ],
)
async def test_no_engine_there(address, part) -> None:
    with pytest.raises(RuntimeUnavailable) as caught:
        async with DockerRuntime.connect({"DOCKER_HOST": address}):
            pass
    assert address in caught.value.what
    assert part in caught.value.detail
    assert caught.value.remedy


def test_a_socket_that_is_not_yours_names_the_group() -> None:
    error = unreachable(Endpoint("unix:///x"), PermissionError(errno.EACCES, "Permission denied"))
    assert "group docker" in error.remedy


async def test_a_daemon_that_accepts_and_says_nothing_is_given_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT", 0.1)
    path = tmp_path / "d.sock"
    open_connections = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(silent, path)
    async with server:
        with pytest.raises(RuntimeUnavailable) as caught:
            async with DockerRuntime.connect({"DOCKER_HOST": f"unix://{path}"}):
                pass
    assert open_connections.is_set()
    assert "said nothing" in caught.value.detail


async def test_something_else_behind_the_socket(tmp_path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(greet, tmp_path / "d.sock")
    async with server:
        with pytest.raises(RuntimeUnavailable, match="no Docker engine answers"):
            async with DockerRuntime.connect({"DOCKER_HOST": f"unix://{tmp_path}/d.sock"}):
                pass
