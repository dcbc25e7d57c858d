"""One connection pool to one Docker engine, and the one place where its failures become ours.

Moat and the engine must share a machine: the proxy listens on the gateway of a bridge that the engine
makes, and the workspace is mounted by path. So a unix socket, or TCP to this machine's loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiodocker
import aiohttp

from engine.errors import RuntimeFailure, RuntimeUnavailable
from engine.runtimes.docker.address import Endpoint, find_endpoint, podman_hint
from engine.runtimes.docker.errors import START_DAEMON, WITHOUT_IT, explain
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
    endpoint = find_endpoint(environ)
    connector, base = _connector(endpoint)
    address = endpoint.address
    timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        version = await _ask_version(session, base, endpoint)
        api = agree_on_api(str(version.get("ApiVersion", "")), str(version.get("MinAPIVersion", "")))
        async with aiodocker.Docker(base, connector, session, timeout, api_version=api) as docker:
            yield Client(address, docker, version)


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
        rootless=bool(info.get("Rootless"))
        or any("rootless" in str(option) for option in info.get("SecurityOptions") or ()),
        operating_system=operating_system,
        podman=is_podman(version),
    )


def is_podman(version: Mapping[str, Any]) -> bool:
    """By `GET /version`: Podman answers in Docker's place."""
    return any("Podman" in str(part.get("Name")) for part in version.get("Components") or ())


def _connector(endpoint: Endpoint) -> tuple[aiohttp.BaseConnector, str]:
    if endpoint.problem:
        raise RuntimeUnavailable(
            f"Moat cannot use the Docker engine at {endpoint}"
            if endpoint.address
            else f"Moat cannot use {endpoint.source}",
            detail=endpoint.problem[:1].upper() + endpoint.problem[1:] + ".",
            remedy=endpoint.remedy,
        )
    parts = urlsplit(endpoint.address)
    if parts.scheme == "unix":
        return aiohttp.UnixConnector(parts.path), "unix://localhost"
    return aiohttp.TCPConnector(), f"tcp://{parts.netloc}"


async def _ask_version(session: aiohttp.ClientSession, base: str, endpoint: Endpoint) -> dict[str, Any]:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT), session.get(f"{base}/version") as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise unreachable(endpoint, error) from error


def unreachable(endpoint: Endpoint, error: BaseException) -> RuntimeFailure:
    cause = getattr(error, "os_error", error)
    code = getattr(cause, "errno", None)
    address = str(endpoint)
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
    return RuntimeUnavailable(
        f"no Docker engine answers at {address}", detail=detail, remedy=_start(endpoint, code)
    )


def _start(endpoint: Endpoint, code: int | None) -> str:
    """An engine that somebody named is theirs to start."""
    if endpoint.source:
        return f"Start it, or let {endpoint.source} name one that runs.{WITHOUT_IT}"
    return START_DAEMON + (podman_hint() if code == errno.ENOENT else "")


def _api(text: str) -> tuple[int, int] | None:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def _text(api: tuple[int, int]) -> str:
    return f"{api[0]}.{api[1]}"
