"""Having the image before a container is made from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiodocker
import aiohttp

from engine.runtimes.docker.client import ASK_TIMEOUT, Client
from engine.runtimes.docker.errors import explain, image_missing
from engine.runtimes.spec import ImageFacts

SILENCE = 60.0  # seconds without a word from the registry before a pull is given up
STILL_AT_IT = 30.0  # seconds after which it is said again how far it got
PULL_TIMEOUT = 1800.0  # seconds for a whole pull


async def ensure_image(client: Client, ref: str, say: Callable[[str], None]) -> None:
    """Nothing when it is here; otherwise pull it, saying so and how far it got.

    Raises ImageUnavailable when it cannot be had, within SILENCE of the registry's last word.
    """
    if await has_image(client, ref):
        return
    say(f"pulling the image {ref}")
    try:
        async with asyncio.timeout(PULL_TIMEOUT):
            await _follow(client.docker.images.pull(ref, stream=True, timeout=PULL_TIMEOUT), say)
    except aiodocker.DockerError as error:
        if error.status == 900:
            raise explain("pull the image", 900, error.message) from error
        raise image_missing(ref, error.message) from error
    except TimeoutError as error:
        raise image_missing(ref, f"The registry was silent for {SILENCE:g} s.") from error
    except (aiohttp.ClientError, OSError) as error:
        raise explain("pull the image", 900, str(error)) from error
    if not await has_image(client, ref):  # a pull that broke off ends without an error
        raise image_missing(ref, "The pull ended early.")
    say(f"pulled the image {ref}")


async def image_facts(client: Client, ref: str) -> ImageFacts | None:
    async with client.asking("look at the image", image=ref):
        try:
            found = await client.docker.images.inspect(ref)
        except aiodocker.DockerError as error:
            if error.status in (400, 404):  # 400: what is no name of an image
                return None
            raise
    config = found.get("Config") or {}
    return ImageFacts(str(found["Id"]), tuple(config.get("Entrypoint") or ()), tuple(config.get("Cmd") or ()))


async def has_image(client: Client, ref: str) -> bool:
    async with client.asking("look for the image", timeout=ASK_TIMEOUT, image=ref):
        try:
            await client.docker.images.inspect(ref)
        except aiodocker.DockerError as error:
            if error.status == 404:
                return False
            if error.status == 400:
                raise aiodocker.DockerError(404, f"no such image: {error.message}") from error
            raise
    return True


async def _follow(progress: AsyncIterator[dict[str, Any]], say: Callable[[str], None]) -> None:
    """Say each layer that is complete, and now and then that it goes on; give up when nothing comes."""
    steps = aiter(progress)
    done = total = 0
    clock = asyncio.get_running_loop().time
    said = clock()
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                step = await anext(steps)
        except StopAsyncIteration:
            return
        status = str(step.get("status", ""))
        total += status == "Pulling fs layer"
        complete = status in ("Pull complete", "Already exists")
        done += complete
        if complete or clock() - said > STILL_AT_IT:
            said = clock()
            say(f"pulling: {done} of {max(done, total)} layers")
