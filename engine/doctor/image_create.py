"""Docker's `POST /images/create`, by which images are both pulled and imported, as a stream of messages.

aiodocker has the pull only, and leaves its connection open when a stream is not read to its end, which is
just what a silent registry makes us do. Source: Docker's API, "Create an image".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiodocker
import aiohttp
from aiodocker.exceptions import DockerError


async def create_image(
    docker: aiodocker.Docker,
    query: Sequence[tuple[str, str]],
    *,
    body: AsyncIterator[bytes] | None = None,
    first_word: float,
    next_word: float,
) -> list[dict[str, Any]]:
    """Every message of the stream, once it ended well.

    Raises DockerError with the daemon's words, and TimeoutError when nothing comes for `first_word`
    seconds, or later for `next_word`.
    """
    if docker.api_version == "auto":
        await docker.version()
    url = f"{docker.docker_host}/{docker.api_version}/images/create"
    headers = {"Content-Type": "application/x-tar"} if body is not None else {}
    messages: list[dict[str, Any]] = []
    async with asyncio.timeout(first_word) as patience:
        async with docker.session.post(
            url, params=query, data=body, headers=headers, timeout=aiohttp.ClientTimeout()
        ) as response:
            async for line in response.content:
                patience.reschedule(asyncio.get_running_loop().time() + next_word)
                if line.strip():
                    messages.append(json.loads(line))
    trouble = next((str(m["error"]) for m in messages if m.get("error")), "")
    if response.status >= 400 or trouble:
        raise DockerError(response.status, trouble or " ".join(str(m.get("message", "")) for m in messages))
    return messages


async def tag(docker: aiodocker.Docker, image: str, name: str) -> None:
    """Give an image, named or not, one more name."""
    repository, _, version = name.partition(":")
    await docker.images.tag(image, repository, tag=version or "latest")
