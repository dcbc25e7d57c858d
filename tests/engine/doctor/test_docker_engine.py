"""Each way in which Docker may not be there gets its own words."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from engine.doctor.docker_engine import EngineProblem, EngineTrouble, ask_engine, check_engine
from engine.doctor.results import CheckState


async def trouble_of(machine, **kwargs):
    with pytest.raises(EngineTrouble) as caught:
        await ask_engine(machine, **kwargs)
    return caught.value


async def test_a_living_engine_tells_version_and_api(engine, machine):
    result = await check_engine(machine)
    assert result.state is CheckState.OK
    assert "20.10.24" in result.message
    assert "1.41" in result.message


async def test_missing_and_dead_are_told_apart_by_the_program(machine, commands):
    assert (await trouble_of(machine)).problem is EngineProblem.MISSING
    commands.add("dockerd")
    assert (await trouble_of(machine)).problem is EngineProblem.DEAD


async def test_a_socket_nobody_listens_on_is_a_dead_engine(machine, commands):
    commands.add("dockerd")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left_behind:
        left_behind.bind(str(machine.socket))
    trouble = await trouble_of(machine)
    assert trouble.problem is EngineProblem.DEAD
    assert "refused" in trouble.detail


@pytest.mark.parametrize("version", ["1.40", "1.9"])
async def test_an_old_engine_is_refused_with_what_is_needed(engine, machine, version):
    engine.version = {"Version": "19.03", "ApiVersion": version}
    trouble = await trouble_of(machine)
    assert trouble.problem is EngineProblem.OLD
    assert "20.10" in trouble.remedy
    assert not (await check_engine(machine)).fixable


async def test_a_newer_engine_is_fine(engine, machine):
    engine.version = {"Version": "29.0", "ApiVersion": "1.52"}
    assert (await ask_engine(machine)).api == "1.52"


async def test_an_engine_that_says_nothing_is_not_waited_for(machine):
    async def silence(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(silence, str(machine.socket))
    async with server:
        trouble = await trouble_of(machine, timeout=0.3)
    assert trouble.problem is EngineProblem.SILENT


async def test_something_else_on_the_socket_is_not_an_engine(machine, commands):
    commands.add("dockerd")

    async def chatter(reader, writer):
        writer.write(b"220 mail ready\r\n")
        writer.close()

    server = await asyncio.start_unix_server(chatter, str(machine.socket))
    async with server:
        assert (await trouble_of(machine, timeout=5)).problem is EngineProblem.DEAD


async def test_no_permission_names_the_group(machine, monkeypatch):
    async def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio, "open_unix_connection", refuse)
    trouble = await trouble_of(machine)
    assert trouble.problem is EngineProblem.DENIED
    assert "usermod -aG docker someone" in trouble.remedy


async def test_another_machines_engine_is_never_installed_here(machine, altered):
    elsewhere = altered(machine, docker_host="unix:///nonexistent/docker.sock", dockerd_args=())
    trouble = await trouble_of(elsewhere)
    assert trouble.problem is EngineProblem.ELSEWHERE
    assert not (await check_engine(elsewhere)).fixable


async def test_without_root_or_sudo_nothing_is_promised(machine, altered, commands):
    commands.add("apt-get")
    assert (await check_engine(machine)).fixable
    assert not (await check_engine(altered(machine, uid=1000))).fixable
    commands.add("sudo")
    assert (await check_engine(altered(machine, uid=1000))).fixable


async def test_an_engine_that_answers_with_errors_is_quoted(machine):
    async def broken(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"message": "database is corrupt"}'
        writer.write(
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(broken_or_knock(broken), str(machine.socket))
    async with server:
        result = await check_engine(machine)
    assert result.state is CheckState.FAIL
    assert "database is corrupt" in result.message


def broken_or_knock(answer):
    """The first connection only knocks, and says nothing."""

    async def handle(reader, writer):
        try:
            await answer(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    return handle


@pytest.mark.parametrize("host", ["ssh://build", "tcp://10.9.8.7:2375", "tcp://127.0.0.1:x", "garbage"])
async def test_an_engine_that_no_run_can_use_is_called_that(machine, altered, host):
    result = await check_engine(altered(machine, docker_host=host))
    assert result.message.startswith(f"Moat cannot use the Docker engine at {host}")
    assert "Unset DOCKER_HOST" in result.remedy
    assert not result.fixable


async def test_a_loopback_port_where_nobody_listens_is_told_in_a_few_words(machine, altered):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    elsewhere = altered(machine, docker_host=f"tcp://127.0.0.1:{port}", dockerd_args=())
    result = await check_engine(elsewhere)
    assert result.message.endswith(f"at tcp://127.0.0.1:{port} cannot be reached: Connection refused")


async def test_without_sudo_the_remedy_names_none(machine, altered, commands, monkeypatch):
    async def refuse(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio, "open_unix_connection", refuse)
    denied = altered(machine, uid=1000)
    assert (await trouble_of(denied)).remedy.startswith("As root: usermod -aG docker someone")
    commands.add("sudo")
    assert (await trouble_of(denied)).remedy.startswith("sudo usermod -aG docker someone")
