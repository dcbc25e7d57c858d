"""A Docker engine that plays its part over a real unix socket, and a machine whose commands are scripts."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from engine.doctor.machine import Machine
from engine.home import Home

GVISOR_KERNEL = "[    0.000000] Starting gVisor...\nLinux version 4.4.0 #1 SMP\n"


class FakeEngine:
    """The part of Docker's API that the doctor uses. Change its attributes to change what it says.

    images: name to the tools it lacks. start_error: runtime to the text with which starting one fails.
    """

    def __init__(self) -> None:
        self.version = {"Version": "20.10.24", "ApiVersion": "1.41"}
        self.info: dict[str, Any] = {"SystemTime": "", "Runtimes": {"runc": {"path": "runc"}}}
        self.images: dict[str, list[str]] = {}
        self.start_error: dict[str, str] = {}
        self.kernel = GVISOR_KERNEL
        self.pull_error = "lookup registry: no such host"
        self.import_error = ""
        self.pull_hangs = False
        self.hung_up = asyncio.Event()
        self.imported = b""
        self.containers: dict[str, dict[str, Any]] = {}
        self.removed: list[str] = []

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/version", self._json(lambda: self.version))
        app.router.add_get("/{api}/version", self._json(lambda: self.version))
        app.router.add_get("/{api}/info", self._json(lambda: self.info))
        app.router.add_get("/{api}/images/{name:.+}/json", self._image)
        app.router.add_post("/{api}/images/create", self._make_image)
        app.router.add_post("/{api}/images/{name:.+}/tag", self._tag)
        app.router.add_post("/{api}/containers/create", self._create)
        app.router.add_post("/{api}/containers/{id}/start", self._start)
        app.router.add_post("/{api}/containers/{id}/wait", self._json(lambda: {"StatusCode": 0}))
        app.router.add_get("/{api}/containers/{id}/json", self._json(lambda: {"Config": {"Tty": False}}))
        app.router.add_get("/{api}/containers/{id}/logs", self._logs)
        app.router.add_delete("/{api}/containers/{id}", self._delete)
        return app

    @staticmethod
    def _json(answer: Callable[[], Any]) -> Callable[[web.Request], Any]:
        async def handle(_: web.Request) -> web.Response:
            return web.json_response(answer())

        return handle

    async def _image(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.images:
            return web.json_response({"message": f"No such image: {name}"}, status=404)
        return web.json_response({"Id": f"sha256:{name}"})

    async def _make_image(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("fromSrc") == "-":
            if self.import_error:
                return web.json_response({"message": self.import_error}, status=500)
            self.imported = await request.read()
            self.images["sha256:built"] = []
            return web.Response(text=json.dumps({"status": "sha256:built"}) + "\r\n")
        if self.pull_hangs:
            response = web.StreamResponse()
            await response.prepare(request)
            await self.hung_up.wait()
            return response
        if self.pull_error:
            return web.json_response({"message": self.pull_error}, status=500)
        self.images[f"{request.query['fromImage']}:{request.query['tag']}"] = [
            "curl",
            "git",
            "python3",
            "ssh",
        ]
        return web.json_response({"status": "Pulling"})

    async def _tag(self, request: web.Request) -> web.Response:
        lacks = self.images[request.match_info["name"]]
        self.images[f"{request.query['repo']}:{request.query['tag']}"] = lacks
        return web.Response(status=201)

    async def _create(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        if wanted["Image"] not in self.images:
            return web.json_response({"message": f"No such image: {wanted['Image']}"}, status=404)
        if wanted["HostConfig"].get("Runtime", "runc") not in self.info["Runtimes"]:
            return web.json_response({"message": "Unknown runtime specified runsc"}, status=400)
        identity = f"c{len(self.containers)}"
        self.containers[identity] = wanted
        return web.json_response({"Id": identity}, status=201)

    async def _start(self, request: web.Request) -> web.Response:
        runtime = self.containers[request.match_info["id"]]["HostConfig"].get("Runtime", "runc")
        if runtime in self.start_error:
            return web.json_response({"message": self.start_error[runtime]}, status=400)
        return web.Response(status=204)

    async def _logs(self, request: web.Request) -> web.Response:
        wanted = self.containers[request.match_info["id"]]
        asks_kernel = "/proc/version" in " ".join(wanted["Entrypoint"])
        text = self.kernel if asks_kernel else "".join(f"{tool}\n" for tool in self.images[wanted["Image"]])
        return web.Response(body=struct.pack(">BxxxL", 1, len(text)) + text.encode() if text else b"")

    async def _delete(self, request: web.Request) -> web.Response:
        self.removed.append(request.match_info["id"])
        return web.Response(status=204)


class Commands:
    """Scripts on a PATH of their own; what was called is in `calls`, one line each."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "calls.log"

    def add(self, name: str, body: str = "exit 0") -> None:
        script = self.directory / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.log}\n{body}\n')
        script.chmod(0o755)

    def remove(self, name: str) -> None:
        (self.directory / name).unlink()

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "moat")


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    directory = tmp_path / "bin"
    directory.mkdir()
    return Commands(directory)


@pytest.fixture
def machine(tmp_path: Path, commands: Commands) -> Machine:
    """A fresh Debian 12: root, no systemd, no Docker, and no command but the scripted ones."""
    (tmp_path / "os-release").write_text('ID=debian\nNAME="Debian GNU/Linux"\nVERSION_CODENAME=bookworm\n')
    (tmp_path / "sources").mkdir()
    (tmp_path / "lists").mkdir()
    for name in ("sh", "dirname", "mkdir", "setsid", "rm", "cat", "sleep", "kill", "mv", "chmod", "printf"):
        for place in ("/bin", "/usr/bin"):
            if (Path(place) / name).exists():
                (commands.directory / name).symlink_to(Path(place) / name)
                break
    return Machine(
        docker_host=f"unix://{tmp_path}/docker.sock",
        daemon_json=tmp_path / "etc" / "daemon.json",
        dockerd_log=tmp_path / "log" / "dockerd.log",
        dockerd_pid=tmp_path / "docker.pid",
        dockerd_args=("--here",),
        systemd_marker=tmp_path / "no-systemd",
        os_release=tmp_path / "os-release",
        apt_sources=tmp_path / "sources",
        apt_lists=tmp_path / "lists",
        path=str(commands.directory),
        system="Linux",
        uid=0,
        user="someone",
    )


@pytest.fixture
async def engine(machine: Machine) -> AsyncIterator[FakeEngine]:
    """The fake engine, listening where `machine` looks for Docker."""
    fake = FakeEngine()
    runner = web.AppRunner(fake.application(), access_log=None)
    await runner.setup()
    assert machine.socket is not None
    await web.UnixSite(runner, str(machine.socket)).start()
    yield fake
    fake.hung_up.set()
    await runner.cleanup()


@pytest.fixture
def altered() -> Callable[..., Machine]:
    """`altered(machine, uid=1000)`: a machine that differs in some facts."""
    return msgspec.structs.replace


class Said(list[str]):
    """Collects what a fixer says; call it with a line."""

    def __call__(self, line: str) -> None:
        self.append(line)

    @property
    def text(self) -> str:
        return "\n".join(self)


@pytest.fixture
def said() -> Said:
    return Said()
