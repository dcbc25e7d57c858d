"""An upstream that plays api.github.com and github.com, git over smart HTTP included, in a thread of its own.

It answers 401 to everyone who does not show the real token, in the form that each host wants.
"""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from support.messages import Response, SeenRequest
from support.threaded import ThreadedUpstream
from support.upstream import Upstream

API = "api.github.com"
WEB = "github.com"


class GitHub(ThreadedUpstream["GitHubUpstream"]):
    """Start with a directory for its files; `repo.git` there holds one commit. Stop with `close`."""

    def __init__(self, directory: Path, token: str) -> None:
        upstream = GitHubUpstream(directory, token)
        upstream.gated = True
        super().__init__(upstream)
        self.token = token

    @property
    def ca_file(self) -> Path:
        return self.upstream.ca_file

    def seen(self, path: str) -> list[SeenRequest]:
        return [request for request in self.upstream.requests if urlsplit(request.path).path == path]


class GitHubUpstream(Upstream):
    """`more` are the hosts that it plays besides."""

    def __init__(self, directory: Path, token: str, *, more: Sequence[str] = (), http2: bool = False) -> None:
        _make_repository(directory)
        hosts = [API, WEB, *more]
        super().__init__(hosts, expected=f"Bearer {token}", http2=http2, directory=directory)
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
                "GIT_CONFIG_COUNT": "2",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "GIT_CONFIG_KEY_1": "http.receivepack",
                "GIT_CONFIG_VALUE_1": "true",
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
