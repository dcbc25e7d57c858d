"""A home with its certificates made once, and a run on a scripted engine."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from support.fake_runtime import FakeRuntime

from engine.audit import read_entries, verify_log
from engine.credentials import KeySource
from engine.heads import read_pin
from engine.home import Home
from engine.proxy import CertificateAuthority
from engine.run import supervisor
from engine.run.granted.injections import Granted
from engine.run.metadata import read_metadata, supervisor_alive
from engine.run.request import RunRequest
from engine.run.spec import settle
from engine.run.supervisor import Supervisor
from engine.run.terminals import carry
from engine.run.terminals.terminal import AgentIO

PATIENCE = 20  # seconds; every wait of these tests is for an event


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("authority") / "home")
    CertificateAuthority.load_or_create(home).trust()
    return home


@pytest.fixture
def home(tmp_path, certificates):
    home = Home(tmp_path / "home")
    shutil.copytree(certificates.root, home.root, copy_function=shutil.copy2)
    return home


@pytest.fixture
def one_run(home, tmp_path, monkeypatch):
    """Makes a OneRun; called in the test's loop."""
    (tmp_path / "ws").mkdir()
    monkeypatch.setattr(supervisor, "_DIE", 5.0)
    monkeypatch.setattr(carry, "LAST_OUTPUT", 1.0)

    def make(io=None, on_running=lambda info: None, granted=None, **wishes):
        return OneRun(home, tmp_path / "ws", io or AgentIO(), on_running, granted, wishes)

    return make


class OneRun:
    """A supervisor on a scripted engine. `over` asserts what must hold after every end."""

    def __init__(self, home, workspace, io, on_running, granted, wishes):
        self.home = home
        self.engine = FakeRuntime()
        self.notices = []
        request = RunRequest(workspace=str(workspace), command=("true",), **wishes)
        spec = settle(home, request)
        self.id = spec.id
        self.keys = KeySource(home, {"MOAT_KEYRING_BACKEND": "file"})
        self.supervisor = Supervisor(
            home, spec, granted or Granted((), ()), self.keys,
            io=io, notice=self.notices.append, on_running=on_running,
        )  # fmt: skip
        self.task = None

    def begin(self):
        self.task = asyncio.ensure_future(self.supervisor.run(lambda: self.engine))
        return self.task

    async def at(self, step):
        """Wait until the engine is asked for `step`."""
        reached = asyncio.ensure_future(self.engine.reached[step].wait())
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({reached, self.task}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        assert self.engine.reached[step].is_set(), f"it ended before {step}: {self.task}"

    async def running(self):
        self.begin()
        await self.at("wait")

    async def result(self):
        async with asyncio.timeout(PATIENCE):
            return await self.task

    @property
    def metadata(self):
        return read_metadata(self.home, self.id)

    def entries(self):
        return read_entries(self.home.run(self.id) / "audit.db")

    def over(self, state, *, signed=True):
        """What holds after every end, whatever went wrong."""
        assert self.metadata.state == state
        assert self.metadata.ended_at
        assert not supervisor_alive(self.home, self.id)
        assert not (self.home.run(self.id) / "control.sock").exists()
        assert not self.engine.containers
        assert not self.engine.networks
        assert not self.engine.attachment.open
        assert self.engine.entered == 0
        assert all(sock.fileno() == -1 for sock in self.engine.sockets)
        if signed:
            path = self.home.run(self.id) / "audit.db"
            verdict = verify_log(path, public_key=read_pin(self.home), finished=True)
            assert verdict.valid, verdict
