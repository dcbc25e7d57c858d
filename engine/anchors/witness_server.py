"""A witness over HTTP, for `moat witness serve`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from engine.anchors.witness import MAX_REQUEST
from engine.anchors.witness_state import WitnessState
from engine.errors import MoatError

_BODY_TIMEOUT = 10.0  # seconds; a request is a few KiB
_AT_ONCE = 64  # requests that wait for the disk; more are told to come again


@contextlib.asynccontextmanager
async def serve_witness(
    state: WitnessState, host: str, port: int, say: Callable[[str], None]
) -> AsyncIterator[str]:
    """Answer `POST /add-checkpoint` until left; yields the address it listens on. say: told each answer.

    port 0 takes a free one. Raises MoatError when the address cannot be had.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def add_checkpoint(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_BODY_TIMEOUT):
                data = await request.read()
        except TimeoutError:
            return web.Response(status=408, text="the request did not come in time\n")
        except (OSError, web.RequestPayloadError):
            return web.Response(status=400, text="the request did not come whole\n")
        if places.locked():
            return web.Response(status=503, text="too many requests at once\n")
        async with places:
            try:
                answer = await asyncio.to_thread(state.answer, data)
            except MoatError as error:
                say(str(error))
                return web.Response(status=500, text="the witness cannot write its record\n")
        said = answer.body.strip() if answer.status != 200 else "cosigned"
        say(f"{answer.status} {said}")
        if answer.misbehaviour:
            say(f"MISBEHAVIOUR: {answer.misbehaviour}; the proof is in {state.accusations}")
        return web.Response(
            status=answer.status, body=answer.body.encode(), headers={"Content-Type": answer.content_type}
        )

    app = web.Application(client_max_size=MAX_REQUEST + 1)
    app.router.add_post("/add-checkpoint", add_checkpoint)
    # Whatever a stranger sends is answered, and no traceback of the person's terminal.
    silent = logging.Logger("witness")
    silent.addHandler(logging.NullHandler())
    runner = web.AppRunner(app, access_log=None, logger=silent)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise MoatError(
                f"the witness cannot listen on {host}:{port}: {error.strerror or error}",
                remedy="Name a free address: --listen HOST:PORT",
            ) from error
        bound = runner.addresses[0]
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        yield f"http://{shown}:{bound[1]}"
    finally:
        await runner.cleanup()
