"""One upstream that plays the service of every grant: each host wants its own value in its own header.

401 for anything else, so what answers 200 has had the credential, and no other.
"""

from __future__ import annotations

import json
from pathlib import Path

from support.kinds import Place
from support.messages import Response, SeenRequest
from support.token_endpoint import TokenEndpoint

TOKENS = "console.anthropic.com"  # where `claude` is refreshed
CLAUDE = ("api.anthropic.com", "authorization")


class EveryService(TokenEndpoint):
    """wanted: (host, lower-case header) -> value; the OAuth token is whatever was handed out last."""

    def __init__(self, places: list[Place], directory: Path) -> None:
        super().__init__((*sorted({place.host for place in places}), TOKENS), directory)
        self.wanted = {(place.host, place.header.lower()): place.value for place in places}

    async def respond(self, request: SeenRequest) -> Response:
        (host,) = request.all("host")
        if host == TOKENS:
            return await super().respond(request)
        wanted = {**self.wanted, CLAUDE: f"Bearer {self.token}"}
        shown = {name for (place, name) in wanted if place == host and request.all(name)}
        if [request.all(name) for name in shown] != [[wanted[host, name]] for name in shown] or len(
            shown
        ) != 1:
            return Response(401, b'{"error":"not this credential"}')
        return Response(200, json.dumps({"host": host, "headers": request.headers}).encode())
