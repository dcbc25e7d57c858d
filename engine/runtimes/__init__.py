"""Runtimes: where agents run. Docker, with gVisor or without, Apple containers and bubblewrap; the names
below are all a run needs.

Each loads when it is opened: aiodocker costs a tenth of a second to import, and most commands start no
container.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.runtimes.abilities import ABILITIES, Abilities
from engine.runtimes.base import Attachment, Builder, Container, Exec, Runtime
from engine.runtimes.detect import HostFacts, choose_runtime
from engine.runtimes.reach import (
    PROXY_HOST,
    ProxyReach,
    Wanted,
    bind_here,
    connected,
    container_user,
    proxy_reach,
)
from engine.runtimes.sandbox import choose_sandbox
from engine.runtimes.spec import (
    HOME_LABEL,
    IMAGE_LABEL,
    RUN_LABEL,
    Bind,
    ContainerSpec,
    EngineInfo,
    ExecSpec,
    ImageFacts,
    Leftover,
    MadeImage,
    Network,
    PlacedFile,
    Platform,
    Sandbox,
    Stream,
    home_label,
)
from engine.runtimes.terms import Terms, engine_terms

if TYPE_CHECKING:
    from engine.runtimes.docker.address import Endpoint
    from engine.runtimes.docker.address import find_endpoint as find_docker
    from engine.runtimes.docker.runtime import DockerRuntime

__all__ = [
    "ABILITIES",
    "HOME_LABEL",
    "IMAGE_LABEL",
    "PROXY_HOST",
    "RUN_LABEL",
    "Abilities",
    "Attachment",
    "Bind",
    "Builder",
    "Container",
    "ContainerSpec",
    "DockerRuntime",
    "Endpoint",
    "EngineInfo",
    "Exec",
    "ExecSpec",
    "HostFacts",
    "ImageFacts",
    "Leftover",
    "MadeImage",
    "Network",
    "PlacedFile",
    "Platform",
    "ProxyReach",
    "Runtime",
    "Sandbox",
    "Stream",
    "Terms",
    "Wanted",
    "bind_here",
    "choose_runtime",
    "choose_sandbox",
    "connected",
    "container_user",
    "engine_terms",
    "find_docker",
    "home_label",
    "open_runtime",
    "proxy_reach",
]


def open_runtime(name: str, environ: Mapping[str, str]) -> Runtime:
    """One of ABILITIES, to be entered. A name that no longer exists, of an old run, is taken for Docker's."""
    if name == "bubblewrap":
        from engine.runtimes.bubblewrap.runtime import BubblewrapRuntime

        return BubblewrapRuntime.connect(environ)
    if name == "apple":
        from engine.runtimes.apple.runtime import AppleRuntime

        return AppleRuntime.connect(environ)
    from engine.runtimes.docker.runtime import DockerRuntime

    return DockerRuntime.connect(environ)


def __getattr__(name: str) -> object:
    if name == "DockerRuntime":
        from engine.runtimes.docker.runtime import DockerRuntime

        return DockerRuntime
    if name in ("Endpoint", "find_docker"):
        from engine.runtimes.docker import address

        return address.Endpoint if name == "Endpoint" else address.find_endpoint
    raise AttributeError(f"engine.runtimes has no {name!r}")
