"""A whole run in an Apple container: settled, behind its proxy, recorded, gone. Its tool is scripted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

import pytest
from support import apple_container
from support.apple_driving import open_apple

from engine.errors import UsageError
from engine.events import RunState
from engine.run import spec
from engine.run.lifecycle import run_attached
from engine.run.request import RunRequest
from engine.run.terminals.terminal import AgentIO
from engine.run.workspace.volumes import list_volumes
from engine.runtimes import HostFacts, home_label
from engine.runtimes.apple import runtime as runtime_module

pytestmark = pytest.mark.bubblewrap

TAHOE = HostFacts("darwin", "arm64", 26, "")


@pytest.fixture
def state(tmp_path, monkeypatch):
    """This machine is a Mac with Apple containers that are ready, as far as a run asks."""
    monkeypatch.delenv("MOAT_RUNTIME", raising=False)
    monkeypatch.setattr(HostFacts, "read", classmethod(lambda cls: TAHOE))
    monkeypatch.setattr(runtime_module, "forwards_packets", lambda: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'apple' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return apple_container.install(tmp_path / "apple")


async def test_a_run_is_chosen_kept_and_recorded(state, home, tmp_path) -> None:
    (tmp_path / "ws").mkdir()
    script = """
        echo "$HTTP_PROXY" | sed 's/moat:[^@]*@/TOKEN@/'
        curl -sS http://example.test/
        bare=http://127.0.0.1:${HTTP_PROXY##*:}
        curl -sS -o /dev/null -w '%{http_code}\\n' -x $bare http://example.test/
        head -1 /moat/ca/ca.crt; echo done >/workspace/result; exit 9
    """
    said = []
    request = RunRequest(
        workspace=str(tmp_path / "ws"), command=("sh", "-c", script), policy="strict", sandbox=False
    )
    info = await run_attached(home, request, AgentIO(), said.append)
    assert (info.runtime, info.state, info.exit_code) == ("apple", RunState.EXITED, 9)
    printed = (home.run(info.id) / "logs.jsonl").read_text()
    assert "http://TOKEN@127.0.0.1:" in printed
    assert "Moat refused this request (403)" in printed
    assert "407" in printed
    assert "BEGIN CERTIFICATE" in printed
    assert (tmp_path / "ws/result").read_text() == "done\n"
    assert any("--no-sandbox changes nothing" in text for text in said)
    assert any("clients that ignore HTTP_PROXY will not work" in text for text in said)
    async with open_apple() as apple:
        assert await apple.leftovers(home_label(home.root)) == []
    asked = [call for call in apple_container.calls(state) if call[:2] == ["network", "create"]]
    assert asked[0][2] == "--internal"


async def test_its_ports_and_volumes(state, home, tmp_path) -> None:
    """The scripted container has this machine's network, and says that its address is 127.0.0.9."""
    (tmp_path / "ws").mkdir()
    with socket.create_server(("127.0.0.9", 0)) as free:
        number = free.getsockname()[1]
    serve = (
        f"cd /cache && python3 -m http.server {number} --bind 127.0.0.9 2>/dev/null & echo $! >/workspace/pid"
    )
    script = f"echo kept >/cache/file; {serve}; wait"
    wishes = RunRequest(
        workspace=str(tmp_path / "ws"),
        command=("sh", "-c", script),
        publish=(f"web:{number}",),
        volumes=("cache:/cache",),
    )
    running = asyncio.get_running_loop().create_future()
    run = asyncio.ensure_future(run_attached(home, wishes, AgentIO(), [].append, running.set_result))
    async with asyncio.timeout(30):
        (port,) = (await running).ports
        assert port.address == f"127.0.0.1:{number}"
        heard = b""
        while not heard:  # until it listens
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            writer.write(b"GET /file HTTP/1.0\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                heard = await reader.read(-1)
            writer.close()
        assert heard.endswith(b"kept\n")
        os.kill(int((tmp_path / "ws" / "pid").read_text()), signal.SIGTERM)
        assert (await run).state == RunState.EXITED
    assert [volume.name for volume in list_volumes(home)] == ["cache"]


def test_gvisor_and_a_rootfs_are_not_apples(state, home, tmp_path) -> None:
    (tmp_path / "ws").mkdir()
    with pytest.raises(UsageError, match="no use for --rootfs"):
        spec.settle(home, RunRequest(workspace=str(tmp_path / "ws"), command=("true",), rootfs="/"))
