"""Runtimes: where agents run. Docker now, with gVisor or without; the names below are all a run needs.

DockerRuntime loads on first use: aiodocker costs a tenth of a second to import, and most commands start
no container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.runtimes.base import Attachment, Container, Exec, Runtime
from engine.runtimes.detect import HostFacts, choose_runtime
from engine.runtimes.reach import PROXY_HOST, ProxyReach, container_user, proxy_reach
from engine.runtimes.sandbox import choose_sandbox
from engine.runtimes.spec import (
    HOME_LABEL,
    RUN_LABEL,
    Bind,
    ContainerSpec,
    EngineInfo,
    ExecSpec,
    Leftover,
    Network,
    PlacedFile,
    Platform,
    Sandbox,
    Stream,
    home_label,
)

if TYPE_CHECKING:
    from engine.runtimes.docker.runtime import DockerRuntime

__all__ = [
    "HOME_LABEL",
    "PROXY_HOST",
    "RUN_LABEL",
    "Attachment",
    "Bind",
    "Container",
    "ContainerSpec",
    "DockerRuntime",
    "EngineInfo",
    "Exec",
    "ExecSpec",
    "HostFacts",
    "Leftover",
    "Network",
    "PlacedFile",
    "Platform",
    "ProxyReach",
    "Runtime",
    "Sandbox",
    "Stream",
    "choose_runtime",
    "choose_sandbox",
    "container_user",
    "home_label",
    "proxy_reach",
]


def __getattr__(name: str) -> object:
    if name == "DockerRuntime":
        from engine.runtimes.docker.runtime import DockerRuntime

        return DockerRuntime
    raise AttributeError(f"engine.runtimes has no {name!r}")
