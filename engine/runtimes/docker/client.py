"""One connection pool to one Docker engine, and the one place where its failures become ours.

Moat and the engine must share a machine: the proxy listens on the gateway of a bridge that the engine
makes, and the workspace is mounted by path. So a unix socket, or TCP to this machine's loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiodocker
import aiohttp

from engine.errors import RuntimeFailure, RuntimeUnavailable
from engine.runtimes.docker.errors import START_DAEMON, explain
from engine.runtimes.spec import EngineInfo, Platform

CONNECT_TIMEOUT = 10.0  # seconds; a busy daemon answers in milliseconds, a stopping one not at all
ASK_TIMEOUT = 60.0  # seconds; for whatever a loaded machine may be slow at: networks, containers

# Moat is written against this version of the API and speaks an older one to an older engine (1.41 is
# Docker 20.10). Docker 29 refuses everything below 1.44, so nothing lower would do for both.
WANTED_API = (1, 44)
OLDEST_API = (1, 41)


class Client:
    """The pool and the facts of the engine behind it. Made by `open_client`."""

    def __init__(self, address: str, docker: aiodocker.Docker, version: dict[str, Any]) -> None:
        self.address = address
        self.docker = docker
        self.version = version
        self._info: EngineInfo | None = None

    @property
    def api(self) -> str:
        """As in a path: "v1.41"."""
        return self.docker.api_version

    @property
    def api_number(self) -> tuple[int, int]:
        return _api(self.api.removeprefix("v")) or OLDEST_API

    @contextlib.asynccontextmanager
    async def asking(
        self, doing: str, *, timeout: float | None = ASK_TIMEOUT, image: str = ""
    ) -> AsyncIterator[None]:
        """Run one request. `doing` is read after "could not"; timeout None is for `wait` alone."""
        try:
            async with asyncio.timeout(timeout):
                yield
        except TimeoutError as error:
            raise RuntimeUnavailable(
                f"Docker did not {doing} within {timeout:g} s",
                remedy="See whether the daemon is overloaded (`docker info`), then try again.",
            ) from error
        except aiodocker.DockerError as error:
            raise explain(doing, error.status, error.message, image=image) from error
        except (aiohttp.ClientError, OSError) as error:
            raise explain(doing, 900, str(error) or type(error).__name__) from error

    async def info(self) -> EngineInfo:
        if self._info is None:
            async with self.asking("describe itself", timeout=CONNECT_TIMEOUT):
                self._info = engine_info(
                    self.version, await self.docker.system.info(), self.api, sys.platform
                )
        return self._info


@contextlib.asynccontextmanager
async def open_client(environ: Mapping[str, str]) -> AsyncIterator[Client]:
    """Connect, agree on an API version, and close everything at the end. Costs one round trip.

    Raises RuntimeUnavailable when nobody answers, when the socket may not be opened, or when the engine
    is remote or too old.
    """
    address = docker_address(environ)
    connector, base = _connector(address)
    timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        version = await _ask_version(session, base, address)
        api = agree_on_api(str(version.get("ApiVersion", "")), str(version.get("MinAPIVersion", "")))
        async with aiodocker.Docker(base, connector, session, timeout, api_version=api) as docker:
            yield Client(address, docker, version)


def docker_address(environ: Mapping[str, str]) -> str:
    """DOCKER_HOST, else the first default socket that exists, else the system's own."""
    named = environ.get("DOCKER_HOST", "").strip()
    if named:
        return named
    places = ["/var/run/docker.sock"]
    if environ.get("XDG_RUNTIME_DIR"):
        places.append(f"{environ['XDG_RUNTIME_DIR']}/docker.sock")
    if environ.get("HOME"):
        places.append(f"{environ['HOME']}/.docker/run/docker.sock")
    return "unix://" + next((place for place in places if Path(place).is_socket()), places[0])


def agree_on_api(newest: str, oldest: str) -> str:
    """The version to speak, as "v1.44": the one Moat wants, moved into what the engine offers."""
    low, high = _api(oldest) or (1, 12), _api(newest)
    if high is None or high < OLDEST_API:
        raise RuntimeUnavailable(
            f"this Docker engine is too old: its API is {newest or '?'}, Moat needs {_text(OLDEST_API)}",
            remedy="Update Docker to 20.10 or newer.",
        )
    return "v" + _text(max(low, min(WANTED_API, high)))


def engine_info(version: Mapping[str, Any], info: Mapping[str, Any], api: str, system: str) -> EngineInfo:
    """`GET /version` and `GET /info`, and sys.platform, as what the rest of Moat needs to know."""
    operating_system = str(info.get("OperatingSystem", ""))
    name = str((version.get("Platform") or {}).get("Name", ""))
    desktop = system != "linux" or "Docker Desktop" in operating_system or "Docker Desktop" in name
    platform: Platform = "desktop" if desktop else "linux"
    return EngineInfo(
        version=str(version.get("Version", "")),
        api_version=api.removeprefix("v"),
        os=str(version.get("Os", "")),
        arch=str(version.get("Arch", "")),
        platform=platform,
        runtimes=frozenset(info.get("Runtimes") or {}),
        rootless=any("rootless" in str(option) for option in info.get("SecurityOptions") or ()),
        operating_system=operating_system,
    )


def _connector(address: str) -> tuple[aiohttp.BaseConnector, str]:
    parts = urlsplit(address)
    if parts.scheme == "unix" and parts.path:
        return aiohttp.UnixConnector(parts.path), "unix://localhost"
    if parts.scheme in ("tcp", "http") and _is_loopback(parts.hostname or ""):
        return aiohttp.TCPConnector(), f"tcp://{parts.netloc}"
    raise RuntimeUnavailable(
        f"Moat cannot use the Docker engine at {address}",
        detail="The engine must be on this machine: agents reach the proxy over the engine's own network.",
        remedy="Unset DOCKER_HOST, or point it at a local socket such as unix:///var/run/docker.sock.",
    )


async def _ask_version(session: aiohttp.ClientSession, base: str, address: str) -> dict[str, Any]:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT), session.get(f"{base}/version") as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise unreachable(address, error) from error


def unreachable(address: str, error: BaseException) -> RuntimeFailure:
    cause = getattr(error, "os_error", error)
    code = getattr(cause, "errno", None)
    if code in (errno.EACCES, errno.EPERM):
        return RuntimeUnavailable(
            f"you may not use the Docker engine at {address}",
            detail="Its socket belongs to another user or group.",
            remedy="Add yourself to the group docker (`sudo usermod -aG docker $USER`) and log in again.",
        )
    reasons = {
        errno.ENOENT: "There is no such socket: Docker is not installed or not started.",
        errno.ECONNREFUSED: "Nobody listens there: the daemon is not running.",
    }
    if isinstance(error, TimeoutError):
        detail = f"It accepted the connection and said nothing for {CONNECT_TIMEOUT:g} s."
    else:
        detail = reasons.get(code or 0) or (os.strerror(code) if code else str(error) or type(error).__name__)
    return RuntimeUnavailable(f"no Docker engine answers at {address}", detail=detail, remedy=START_DAEMON)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _api(text: str) -> tuple[int, int] | None:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def _text(api: tuple[int, int]) -> str:
    return f"{api[0]}.{api[1]}"
