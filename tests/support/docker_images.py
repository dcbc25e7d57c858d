"""Images for docker:dind, made from the system's package mirror where there is no registry.

Made once: their names hold a hash of what they are made of. The daemon is Debian's, without the official
image's entrypoint; BuildKit is no package there, so in its place stands a server that only listens.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess

import pytest

_BASE = "moat-base:bookworm"
_LABEL = "moat.test-image"

DAEMON = f"""\
FROM {_BASE}
LABEL {_LABEL}=dind
RUN apt-get -q update \\
 && apt-get -q install -y --no-install-recommends docker.io iptables busybox-static \\
 && rm -rf /var/lib/apt/lists/*
"""

# `buildkitd` listens at its address over TCP, and `buildctl debug workers` asks there whether it works.
BUILDKIT = f"""\
FROM {_BASE}
LABEL {_LABEL}=buildkit
RUN printf '%s\\n' '#!/usr/bin/env python3' \\
    'import socketserver, sys' \\
    'assert "--addr=tcp://0.0.0.0:1234" in sys.argv, sys.argv' \\
    'class Answer(socketserver.BaseRequestHandler):' \\
    '    def handle(self): self.request.sendall(b"worker")' \\
    'socketserver.ThreadingTCPServer(("0.0.0.0", 1234), Answer).serve_forever()' > /usr/bin/buildkitd \\
 && printf '%s\\n' '#!/usr/bin/env python3' \\
    'import socket, sys' \\
    'assert sys.argv[1:] == ["--addr", "tcp://127.0.0.1:1234", "debug", "workers"], sys.argv' \\
    'assert socket.create_connection(("127.0.0.1", 1234), 5).recv(9) == b"worker"' > /usr/bin/buildctl \\
 && chmod +x /usr/bin/buildkitd /usr/bin/buildctl
"""


def docker_image(dockerfile: str, name: str) -> str:
    """The image's name. Where it cannot be made the test skips, or fails in CI, with what the build said."""
    ref = f"moat-test-{name}:{hashlib.sha256(dockerfile.encode()).hexdigest()[:12]}"
    if subprocess.run(["docker", "image", "inspect", ref], capture_output=True, check=False).returncode:
        made = subprocess.run(
            ["docker", "build", "-q", "--network", "host", *_proxy(), "-t", ref, "-"],
            input=dockerfile.encode(), capture_output=True, check=False, timeout=170,
            env={**os.environ, "DOCKER_BUILDKIT": "0"},
        )  # fmt: skip
        if made.returncode:
            absent = pytest.fail if os.environ.get("CI") else pytest.skip
            absent(f"the image {ref} could not be made: {made.stderr.decode()[-500:]}")
    return ref


def _proxy() -> list[str]:
    """A mirror that only the machine's own settings lead to is reached as the machine does."""
    asked = ["apt-config", "dump", "--format", "%v", "Acquire::http::Proxy"]
    if shutil.which(asked[0]) is None:
        return []
    proxy = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return ["--build-arg", f"http_proxy={proxy}"] if proxy else []
