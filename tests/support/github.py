"""An upstream that plays api.github.com and github.com, git over smart HTTP included, in a thread of its own.

It answers 401 to everyone who does not show the real token, in the form that each host wants.
"""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import threading
from pathlib import Path
from urllib.parse import urlsplit

from support.upstream import Response, SeenRequest, Upstream

API = "api.github.com"
WEB = "github.com"


class GitHub:
    """Start with a directory for its files; `repo.git` there holds one commit. Stop with `close`."""

    def __init__(self, directory: Path, token: str) -> None:
        self.token = token
        _make_repository(directory)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.upstream = self._call(self._start(directory))

    @property
    def ca_file(self) -> Path:
        return self.upstream.ca_file

    def flags(self) -> list[str]:
        """What `moat run` needs to reach and trust it."""
        return [
            *("--connect-to", self.upstream.connect_to(API), "--connect-to", self.upstream.connect_to(WEB)),
            *("--upstream-ca", str(self.ca_file)),
        ]

    def permit(self) -> None:
        """Let one server-sent event go."""
        self._loop.call_soon_threadsafe(self.upstream.permit)

    def seen(self, path: str) -> list[SeenRequest]:
        return [request for request in self.upstream.requests if urlsplit(request.path).path == path]

    def close(self) -> None:
        self._call(self.upstream.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self, directory: Path) -> Upstream:
        upstream = _Service(directory, self.token)
        upstream.gated = True
        await upstream.start()
        return upstream

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)


class _Service(Upstream):
    def __init__(self, directory: Path, token: str) -> None:
        super().__init__([API, WEB], expected=f"Bearer {token}", directory=directory)
        self._basic = "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()

    async def respond(self, request: SeenRequest) -> Response:
        path = urlsplit(request.path).path
        if not path.startswith("/octo/repo.git/"):
            return await super().respond(request)
        if request.all("authorization") != [self._basic]:
            return Response(401, b"no", [("WWW-Authenticate", 'Basic realm="GitHub"')])
        return await asyncio.to_thread(self._git, request, path.removeprefix("/octo"))

    def _git(self, request: SeenRequest, path: str) -> Response:
        """git's own CGI program answers."""
        header = {name.lower(): value for name, value in request.headers}
        done = subprocess.run(
            ["git", "http-backend"],
            input=request.body,
            capture_output=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.directory),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "REQUEST_METHOD": request.method,
                "PATH_INFO": path,
                "QUERY_STRING": urlsplit(request.path).query,
                "CONTENT_TYPE": header.get("content-type", ""),
                "HTTP_CONTENT_ENCODING": header.get("content-encoding", ""),
                "GIT_PROTOCOL": header.get("git-protocol", ""),
            },
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((int(value[:3]) for name, value in fields if name == "Status"), 200)
        kind = next(value for name, value in fields if name == "Content-Type")
        return Response(status, body, kind=kind)


def _make_repository(directory: Path) -> None:
    tree = directory / "tree"
    tree.mkdir()
    (tree / "hello.txt").write_text("hello from the repository\n")
    identity = ["-c", "user.name=t", "-c", "user.email=t@test", "-c", "init.defaultBranch=main"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", *identity, *command], cwd=tree, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", tree, directory / "repo.git"], check=True)
