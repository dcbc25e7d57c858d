"""The sockets of an isolated run come from a container in its network, or the run says what is missing."""

from __future__ import annotations

import asyncio
import socket
import sys
from types import SimpleNamespace

import pytest
from support.proxying import bind_doors

from engine.errors import ContainerFailed
from engine.events import RunState
from engine.home import Home
from engine.run import launch
from engine.run.network.listeners import Listeners, open_listeners
from engine.runtimes import Network

NETWORK = Network("moat-run_1", "n1", "127.0.0.1", "127.0.0.0/8", True, True)


class Container:
    """Its script runs here."""

    def __init__(self, spec, directory, wanted=None):
        self.spec = spec
        self._script = directory / "listeners.py"
        self._script.write_bytes(spec.files[0].content)
        self._wanted = wanted
        self.process = None

    async def start(self):
        bind = self.spec.binds[0]
        _, _, _, *arguments = self.spec.command
        arguments = [word.replace(bind.target, bind.source) for word in arguments]
        if self._wanted is not None:
            arguments = arguments[:2] + self._wanted
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(self._script), *arguments, stderr=asyncio.subprocess.DEVNULL
        )


class Engine:
    def __init__(self, directory, wanted=None):
        self._made = directory, wanted

    async def create(self, spec):
        self.container = Container(spec, *self._made)
        return self.container


def opening(tmp_path, engine, agent=True, ports=()):
    home = Home(tmp_path / "home")
    home.ensure_dir(home.run("run_1"))
    spec = SimpleNamespace(id="run_1", transparent=False, ports=ports)
    return open_listeners(home, spec, "0:0", engine, NETWORK, agent=agent)


@pytest.mark.parametrize("agent", [True, False])
async def test_they_listen_and_the_container_ends_with_their_way(tmp_path, agent):
    engine = Engine(tmp_path)
    async with asyncio.timeout(20):
        made = await opening(tmp_path, engine, agent)
        assert len(made.sockets()) == (3 if agent else 2)
        for sock in made.sockets()[:-1]:
            assert sock.getsockname()[0] == "127.0.0.1"
            with socket.create_connection(sock.getsockname(), 5) as client:
                peer, address = await asyncio.get_running_loop().sock_accept(sock)
                assert address == client.getsockname()
                peer.close()
        spec = engine.container.spec
        assert (spec.address, spec.sandbox) == ("127.0.0.1", "standard")
        assert engine.container.process.returncode is None
        for sock in made.sockets():
            sock.close()
        await engine.container.process.wait()
    assert not (tmp_path / "home" / "runs" / "run_1" / "listeners").exists()


async def test_more_sockets_come_as_they_are_asked_for_and_reach_that_network(tmp_path):
    engine = Engine(tmp_path)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(20):
        made = await opening(tmp_path, engine, ports=("web:3000",))
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            for sock in await asyncio.gather(*(made.dial(*server.getsockname()) for _ in range(20))):
                peer, _ = await loop.sock_accept(server)
                assert peer.getpeername() == sock.getsockname()
                peer.close()
                sock.close()
        engine.container.process.kill()
        await engine.container.process.wait()
        with pytest.raises(OSError):  # noqa: PT011 - which, is the kernel's choice
            await made.dial("127.0.0.1", 1)
    for sock in made.sockets():
        sock.close()


@pytest.mark.parametrize("wanted", [["tcp:0"], ["tcp:99999", "tcp:0"]], ids=["too few", "none"])
async def test_what_does_not_come_is_an_error(tmp_path, wanted):
    engine = Engine(tmp_path, wanted)
    with pytest.raises(ContainerFailed, match="listening sockets"):
        await opening(tmp_path, engine)
    async with asyncio.timeout(20):
        await engine.container.process.wait()


@pytest.mark.parametrize("policy", ["strict", "permissive"])
async def test_an_isolated_run_is_served_on_them(one_run, monkeypatch, policy):
    made, ends = [], []

    async def opened(home, spec, info, engine, network, *, agent):
        assert network.apart
        way, other = socket.socketpair()
        ends.append(other)
        proxy = socket.create_server(("127.0.0.1", 0))
        made.append(Listeners(proxy, None, bind_doors("127.0.0.1"), way))
        return made[0]

    monkeypatch.setattr(launch, "open_listeners", opened)
    run = one_run(policy=policy)
    run.engine.apart = True
    run.begin()
    await run.at("start")
    if policy == "strict":
        port = made[0].proxy.getsockname()[1]
        assert run.engine.spec.env["HTTPS_PROXY"].endswith(f":{port}")
        assert [bind.target for bind in run.engine.spec.binds][-1] == "/etc/resolv.conf"
        await run.at("wait")
        assert not run.notices
        ends[0].close()  # its container was killed by somebody
        async with asyncio.timeout(10):
            while not run.notices:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert "reaches nothing any more" in run.notices[0]
    run.engine.end()
    await run.result()
    run.over(RunState.EXITED)
    for end in ends:
        end.close()
    assert len(made) == (policy == "strict")
    assert all(sock.fileno() == -1 for each in made for sock in each.sockets())


async def test_without_them_the_run_goes_on_and_says_what_is_open(one_run, monkeypatch):
    async def opened(*spec, agent):
        raise ContainerFailed("there is no such image")

    monkeypatch.setattr(launch, "open_listeners", opened)
    run = one_run(policy="strict")
    run.engine.apart = True
    made = []
    create = run.engine.create_network

    async def create_network(run_id, home_label, internal, *, apart=False):
        made.append((internal, apart))
        return await create(run_id, home_label, internal, apart=apart)

    run.engine.create_network = create_network
    run.begin()
    await run.at("start")
    assert made == [(True, True), (True, False)]
    assert any("in reach of this run: there is no such image" in line for line in run.notices)
    run.engine.end()
    await run.result()
    run.over(RunState.EXITED)
