"""An OAuth token endpoint that rotates: a refresh token is good for one use, and brings the next.

It also plays the service whose tokens these are: /user wants the newest one.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs

from support.messages import Response, SeenRequest
from support.threaded import ThreadedUpstream
from support.upstream import Upstream


class TokenEndpoint(Upstream):
    """status: what it answers instead, 0 for the truth. lifetime: seconds of the next token."""

    def __init__(self, hosts: tuple[str, ...], directory: Path, first: str = "refresh-canary-0") -> None:
        super().__init__(hosts, directory=directory)
        self.good, self.given = first, 0
        self.status = 0
        self.lifetime: int | str = 3600
        self.answer = b""  # instead of a new token
        self.asked: list[dict[str, str]] = []

    @property
    def token(self) -> str:
        return f"sk-ant-oat01-canary-access-{self.given}"

    async def respond(self, request: SeenRequest) -> Response:
        if not request.path.endswith("/token"):
            self.expected = f"Bearer {self.token}"
            return await super().respond(request)
        if "json" in request.all("content-type")[0]:
            said = json.loads(request.body)
        else:
            said = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        self.asked.append(said)
        if self.status:
            return Response(self.status, b'{"error":"it was told to"}')
        if self.answer:
            return Response(200, self.answer)
        if said["grant_type"] != "refresh_token" or said["refresh_token"] != self.good:
            return Response(400, b'{"error":"invalid_grant"}')
        self.given += 1
        self.good = f"refresh-canary-{self.given}"
        answer = {"access_token": self.token, "refresh_token": self.good, "expires_in": self.lifetime}
        return Response(200, json.dumps(answer).encode())


def token_endpoint(hosts: tuple[str, ...], directory: Path) -> ThreadedUpstream[TokenEndpoint]:
    """Running, until `close`."""
    return ThreadedUpstream(TokenEndpoint(hosts, directory))
