"""What SSH clients in a container get: a configuration, and a helper that works with whatever is there."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest
from support.proxying import TOKEN
from support.ssh_proxying import BANNER, CLIENT, GIT, granted, parrot

from engine.run.granted.ssh_client import client_config, client_files, in_container
from engine.ssh_agent import Mapping

TOOLS = ("perl", "bash", "nc")
# As busybox has it: goes on until the other side ends.
NC = """#!{python} -IS
import os, socket, sys, threading
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def out():
    while data := os.read(0, 65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
threading.Thread(target=out, daemon=True).start()
while data := sock.recv(65536):
    while data:
        data = data[os.write(1, data):]
"""


class Image:
    """The tools of an image, and the helper in it."""

    def __init__(self, directory: Path, *tools: str) -> None:
        self.path = directory / "bin"
        self.path.mkdir()
        for tool in {"sh", "cat", *tools} - {"nc"}:
            found = shutil.which("dash" if tool == "sh" else tool)
            assert found, f"{tool} is not here"
            (self.path / tool).symlink_to(found)
        if "nc" in tools:
            (self.path / "nc").write_text(NC.format(python=sys.executable))
            (self.path / "nc").chmod(0o755)
        self._place = directory / "proxy"
        self.helper = directory / "connect"
        text = in_container("ssh_connect.sh").decode()
        self.helper.write_text(text.replace("/moat/ssh/proxy", str(self._place)))

    def lead_to(self, port: int) -> None:
        files = {file.path: file for file in client_files((), ("127.0.0.1", port, TOKEN), isolated=True)}
        self._place.write_bytes(files["/moat/ssh/proxy"].content)

    async def connect(self, host: str, port: int) -> Process:
        return await asyncio.create_subprocess_exec(
            "/bin/sh", str(self.helper), host, str(port),
            stdin=PIPE, stdout=PIPE, stderr=PIPE, env={"PATH": str(self.path)},
        )  # fmt: skip

    def able(self) -> bool:
        command = ["/bin/sh", str(self.helper), "--able"]
        return subprocess.run(command, env={"PATH": str(self.path)}, check=False, timeout=10).returncode == 0


@pytest.mark.parametrize("tool", TOOLS)
async def test_bytes_pass_both_ways_and_the_servers_end_is_the_helpers(tmp_path: Path, tool: str) -> None:
    image = Image(tmp_path, tool)
    sent = CLIENT + os.urandom(300_000)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BANNER)
        data = await reader.readexactly(len(sent))
        writer.write(data[::-1])

    async with granted(tmp_path, serve) as proxy, asyncio.timeout(20):
        image.lead_to(proxy.port)
        process = await image.connect(GIT, 22)
        assert process.stdin is not None
        assert process.stdout is not None
        assert await process.stdout.readexactly(len(BANNER)) == BANNER
        process.stdin.write(sent)
        assert await process.stdout.read() == sent[::-1]  # its end, though its input goes on
        process.stdin.close()
        await process.wait()
    assert proxy.notes.records[0].rule == "ssh"


@pytest.mark.parametrize("tool", TOOLS)
async def test_when_ssh_is_gone_so_is_the_connection(tmp_path: Path, tool: str) -> None:
    image = Image(tmp_path, tool)
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await parrot(reader, writer)
        gone.set()

    async with granted(tmp_path, serve) as proxy, asyncio.timeout(20):
        image.lead_to(proxy.port)
        process = await image.connect(GIT, 22)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(CLIENT)
        assert await process.stdout.readexactly(len(BANNER + CLIENT)) == BANNER + CLIENT
        process.stdin.close()
        await gone.wait()
        await process.wait()


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("other.test", "other.test:22 is no SSH server of this run's grants"),
        ("::1", "[::1]:22 is an IP address"),
    ],
)
async def test_why_there_is_no_connection_is_said(tmp_path: Path, tool: str, host: str, words: str) -> None:
    image = Image(tmp_path, tool)
    async with granted(tmp_path) as proxy, asyncio.timeout(20):
        image.lead_to(proxy.port)
        process = await image.connect(host, 22)
        assert process.stdout is not None
        assert await process.stdout.read() == b""  # ssh takes its end for the connection's, and goes
        _, err = await process.communicate()
        assert err.startswith(b"moat: ")
        assert words in err.decode()
        assert process.returncode == 1


async def test_without_any_tool_that_is_said(tmp_path: Path) -> None:
    image = Image(tmp_path)
    image.lead_to(9)
    process = await image.connect(GIT, 22)
    _, err = await process.communicate()
    assert err == b"moat: no way to git.test:22: the image has none of perl, bash and nc\n"
    assert process.returncode == 1
    assert not image.able()


@pytest.mark.parametrize("tool", TOOLS)
def test_any_of_the_tools_makes_it_able(tmp_path: Path, tool: str) -> None:
    assert Image(tmp_path, tool).able()


def test_the_user_s_own_configuration_stays(tmp_path: Path) -> None:
    """As ssh itself reads it: the user's file first."""
    mappings = (
        Mapping("git.test", "SHA256:x", "", port=2222),
        Mapping("github.com", "SHA256:x", ""),
    )
    user, system = tmp_path / "config", tmp_path / "moat.conf"
    user.write_text("Host mine\n  HostName github.com\nHost github.com\n  Port 443\n")
    settings: dict[bool, dict[str, list[str]]] = {}
    for isolated in (True, False):
        system.write_bytes(client_config(mappings, isolated=isolated).replace(b"/moat/ssh/connect", b"true"))
        settings[isolated] = {
            host: [
                line
                for line in subprocess.run(
                    ["ssh", "-G", "-F", "/dev/stdin", *host.split()],
                    input=user.read_text() + f"Match all\nInclude {system}\n",
                    capture_output=True, text=True, check=True, timeout=20,
                ).stdout.splitlines()
                if line.partition(" ")[0] in ("port", "proxycommand")
            ]
            for host in ("git.test", "github.com", "mine", "git.test -p 99", "elsewhere.test")
        }  # fmt: skip
    through = "proxycommand true %h %p"
    assert settings[True] == {
        "git.test": ["port 2222", through],
        "github.com": ["port 443", through],
        "mine": ["port 22", through],
        "git.test -p 99": ["port 99", through],
        "elsewhere.test": ["port 22"],
    }
    direct = {"github.com": ["port 443"], "git.test -p 99": ["port 99"]}
    assert settings[False] == settings[True] | direct
