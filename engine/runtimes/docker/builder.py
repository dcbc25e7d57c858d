"""Images made of containers: what a container changed becomes a layer on the image that it began with.

Not `docker build`: its steps run with more rights than an agent has, on a network that is not the run's,
and in engines with BuildKit on no network that is named.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import aiodocker
import aiohttp
from aiodocker.containers import DockerContainer

from engine.runtimes import base
from engine.runtimes.docker.client import Client
from engine.runtimes.docker.container import remove_container
from engine.runtimes.sandbox import KEPT_GVISOR_RUNTIME
from engine.runtimes.spec import HOME_LABEL, IMAGE_LABEL, RUN_LABEL, MadeImage

_COPY_TIMEOUT = 600.0  # seconds for one path; Go's tree has 250 MB
_COMMIT_TIMEOUT = 900.0  # seconds; the whole layer is read and hashed
_CHUNK = 256 * 1024
_PLAIN = re.compile(r"[A-Za-z0-9_./:@-]+")


class DockerBuilder:
    """As runtimes.base.Builder."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def under_gvisor(self) -> bool:
        return KEPT_GVISOR_RUNTIME in (await self._client.info()).runtimes

    async def copy_from(self, image: str, paths: Sequence[str], container: base.Container) -> None:
        """By a container of that image which never starts; it has the labels of the other one, and so goes
        with the run when this process dies.
        """
        docker = self._client.docker
        async with self._client.asking("look at the container"):
            found = await DockerContainer(docker, id=container.id).show()
        labels = {name: found["Config"]["Labels"].get(name, "") for name in (RUN_LABEL, HOME_LABEL)}
        body: dict[str, Any] = {
            "Image": image,
            "Cmd": ["-"],
            "Entrypoint": [],
            "Labels": labels,
            "NetworkDisabled": True,
        }
        async with self._client.asking("create a container to copy from", image=image):
            source = await docker.containers.create(body)
        try:
            for path in paths:
                async with self._client.asking(f"copy {path} of {image}", timeout=_COPY_TIMEOUT):
                    await _copy(docker, source.id, path, container.id)
        finally:
            async with self._client.asking("remove a container"):
                await remove_container(source)

    async def keep_as_image(self, container: base.Container, name: str, home_label: str) -> str:
        docker = self._client.docker
        repository, _, tag = name.rpartition(":")
        async with self._client.asking("make an image of the container", timeout=_COMMIT_TIMEOUT):
            made = DockerContainer(docker, id=container.id)
            found = await made.show()
            own = (await docker.images.inspect(str(found["Image"]))).get("Config") or {}
            answer = await made.commit(
                repository=repository,
                tag=tag,
                changes=changes(own, home_label),
                config={},  # Podman wants one
                timeout=_COMMIT_TIMEOUT,
            )
        return str(answer["Id"])

    async def made_images(self, home_label: str) -> list[MadeImage]:
        filters = json.dumps({"label": [f"{IMAGE_LABEL}={home_label}"]})
        async with self._client.asking("list the images"):
            found = await self._client.docker._query_json("images/json", params={"filters": filters})
        return [MadeImage(str(each["Id"]), _names(each.get("RepoTags") or ())) for each in found]

    async def remove_image(self, image: str) -> bool:
        async with self._client.asking("remove an image"):
            try:
                await self._client.docker.images.delete(image)
            except aiodocker.DockerError as error:
                if error.status in (404, 409):
                    return False
                raise
        return True


def changes(own: Mapping[str, Any], home_label: str) -> list[str]:
    """For `POST /commit`: what the image before ran, as instructions of a Dockerfile.

    A commit takes the container's own configuration, and the labels by which its run is found and removed:
    those must be nobody's who starts this image without Moat.
    """
    entrypoint, command = own.get("Entrypoint") or [], own.get("Cmd") or []
    # One a line: Podman takes the rest of a line for the first one's value.
    lines = [f"LABEL {RUN_LABEL}=", f"LABEL {HOME_LABEL}=", f"LABEL {IMAGE_LABEL}={home_label}"]
    if entrypoint:
        lines.append(f"ENTRYPOINT {json.dumps(entrypoint)}")
    # Without either, Docker would keep the step's shell; a shell that is named is at least no surprise.
    lines.append(f"CMD {json.dumps(command if command or entrypoint else ['/bin/sh'])}")
    # In these two variables would be put in; what is not plain is left to the run, which says both itself.
    for instruction, value in (("USER", own.get("User") or "0"), ("WORKDIR", own.get("WorkingDir") or "/")):
        if _PLAIN.fullmatch(value):
            lines.append(f"{instruction} {value}")
    return lines


async def _copy(docker: aiodocker.Docker, source: str, path: str, target: str) -> None:
    """As one stream, which is nowhere kept whole."""
    whole = {"path": path}
    async with (
        docker._query(f"containers/{source}/archive", params=whole, timeout=_unhurried()) as answer,
        docker._query(
            f"containers/{target}/archive",
            method="PUT",
            params={"path": str(PurePosixPath(path).parent)},
            data=_pieces(answer),
            headers={"Content-Type": "application/x-tar"},
            timeout=_unhurried(),
        ) as done,
    ):
        await done.read()


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for piece in answer.content.iter_chunked(_CHUNK):
        yield piece


def _unhurried() -> aiohttp.ClientTimeout:
    """The whole is timed by who asks."""
    return aiohttp.ClientTimeout(total=None, sock_read=60)


def _names(tags: Iterable[str]) -> tuple[str, ...]:
    """As Moat gave them: Podman puts a registry before a name that has none."""
    plain = (tag.removeprefix("docker.io/library/").removeprefix("localhost/") for tag in tags)
    return tuple(tag for tag in plain if tag != "<none>:<none>")
