"""One request to an anchoring service, with limits. Proxies of the environment are honoured."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
import msgspec

from engine.anchors.head import AnchorFailed

TIMEOUT = 30.0  # seconds; a Rekor answers only when its next checkpoint is out
_MOST_BYTES = 1 << 20


class Reply(msgspec.Struct, frozen=True):
    status: int
    content_type: str
    body: bytes

    def first_line(self) -> str:
        """What it says, fit for a message: printable, short."""
        text = self.body[:400].decode(errors="replace").strip().split("\n")[0]
        return "".join(char if char.isprintable() else "?" for char in text)[:160]


async def post(url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Raises AnchorFailed when no answer comes, or one that is no answer."""
    try:
        async with (
            asyncio.timeout(TIMEOUT),
            aiohttp.ClientSession(trust_env=True) as session,
            session.post(url, data=body, headers=dict(headers), allow_redirects=False) as answer,
        ):
            data = await answer.content.read(_MOST_BYTES + 1)
            while len(data) <= _MOST_BYTES and (more := await answer.content.read(_MOST_BYTES)):
                data += more
            if len(data) > _MOST_BYTES:
                raise AnchorFailed(f"{url} answered without end")
            return Reply(answer.status, answer.content_type, data)
    except TimeoutError as error:
        raise AnchorFailed(f"{url} did not answer within {TIMEOUT:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise AnchorFailed(f"{url} cannot be asked: {error or type(error).__name__}") from error
