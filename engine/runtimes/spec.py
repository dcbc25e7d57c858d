"""What a run asks of a runtime and what a runtime tells back: frozen values, no behaviour of a daemon."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

Sandbox = Literal["gvisor", "standard", ""]  # "": the runtime has one way only
Platform = Literal["linux", "desktop"]
Stream = Literal["stdout", "stderr"]

RUN_LABEL = "moat.run"
HOME_LABEL = "moat.home"
IMAGE_LABEL = "moat.image"  # on images that Moat made: the installation whose they are


class Network(msgspec.Struct, frozen=True):
    """A run's own bridge network. `gateway` is the host's address on it, `subnet` its CIDR (IPv4).

    apart: the host has none there; `gateway` is kept for the container that takes its place.
    """

    name: str
    id: str
    gateway: str
    subnet: str
    internal: bool
    apart: bool = False


class Bind(msgspec.Struct, frozen=True):
    """A host path shown in the container. `source` is absolute and exists; `target` is absolute."""

    source: str
    target: str
    read_only: bool = False


class PlacedFile(msgspec.Struct, frozen=True):
    """A file, put into the container before it starts; root owns it. With `link` it is a symbolic link,
    with `directory` an empty directory.

    It takes the place of a file of that name in the image. Directories above it are made.
    """

    path: str
    content: bytes = b""
    link: str = ""
    mode: int = 0o644
    directory: bool = False


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One container, wholly described.

    command: empty means the image's own; otherwise it replaces the image's CMD and, as with `docker run`,
        its ENTRYPOINT stays, unless `entrypoint` is false: then `command` is all that is run.
    home_files: put into the agent's home directory, as its own; paths are relative to it. What the image or
        a mount has in that place already stays as it is.
    workdir: "" is the image's own.
    user: "uid:gid", or the name of one that the image knows, or "" for whatever the image names.
    dns: addresses of resolvers; ignored on an internal network, where nothing resolves.
    memory_mb, cpus: limits; None is no limit.
    rootfs, hidden: for a runtime without images, the directory tree that is its system ("": this machine's
        own), and the places of this machine that must not be seen in it.
    address: its own on the network; empty takes any.
    memory_files: an absolute path where a directory is that anybody may write to, in memory; "" for none.
    kept: an image will be made of it, so nothing is put in that would stay.
    groups: ids of groups that its user is in besides.
    engine_socket: the path, on this machine, of the engine's own socket, to be shown in the container: who
        can use it is root on this machine.
    inner_daemon: where a daemon that runs containers keeps their layers; "" for none. It gives the container
        what such a daemon needs, and so all but root on this machine where there is no gVisor around it.
    programs: looked for in the image, not needed to start.
    """

    run_id: str
    home_label: str
    name: str
    image: str
    network: Network
    command: tuple[str, ...] = ()
    entrypoint: bool = True
    env: Mapping[str, str] = {}
    workdir: str = "/workspace"
    binds: tuple[Bind, ...] = ()
    files: tuple[PlacedFile, ...] = ()
    home_files: tuple[PlacedFile, ...] = ()
    user: str = ""
    sandbox: Sandbox = "gvisor"
    extra_hosts: Mapping[str, str] = {}
    dns: tuple[str, ...] = ()
    memory_mb: int | None = None
    cpus: float | None = None
    pids_limit: int = 4096
    interactive: bool = False
    tty: bool = False
    labels: Mapping[str, str] = {}
    address: str = ""
    groups: tuple[int, ...] = ()
    engine_socket: str = ""
    inner_daemon: str = ""
    programs: tuple[str, ...] = ()
    rootfs: str = ""
    hidden: tuple[str, ...] = ()
    memory_files: str = ""
    kept: bool = False


class ExecSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A command to run in a live container, with the container's own user, directory and environment.

    env: variables on top of the container's. mark: NAME=VALUE that no other process there has in its
    environment; by it the command and what it starts are found again when they get a signal.
    """

    command: tuple[str, ...]
    mark: str
    env: Mapping[str, str] = {}
    stdin: bool = True
    tty: bool = False


class EngineInfo(msgspec.Struct, frozen=True):
    """The engine that answered. `platform` "desktop": its containers live in a virtual machine of its own.
    podman: it is Podman, which answers as Docker would.
    """

    version: str
    api_version: str
    os: str
    arch: str
    platform: Platform
    runtimes: frozenset[str]
    rootless: bool
    operating_system: str
    podman: bool = False

    @property
    def sockets_inside(self) -> bool:
        """Whether only a container can make a socket on one of its networks: the host's end of a rootless
        engine's is in another namespace, and Podman makes it with the first container.
        """
        return self.rootless or self.podman


class ImageFacts(msgspec.Struct, frozen=True):
    """An image that is here. id: "sha256:…", or "" where a runtime has none. What it runs by itself is
    `entrypoint` and then `command`.
    """

    id: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


class MadeImage(msgspec.Struct, frozen=True):
    """An image that Moat made. names: none when another took its name since."""

    id: str
    names: tuple[str, ...] = ()


class Leftover(msgspec.Struct, frozen=True):
    """Something of one installation that still exists in the engine. `running` is for containers."""

    kind: Literal["container", "network"]
    id: str
    name: str
    run_id: str
    running: bool = False


def home_label(root: Path) -> str:
    """The short name of one MOAT_HOME, so that no installation ever touches another's containers."""
    return hashlib.sha256(str(root).encode()).hexdigest()[:16]
