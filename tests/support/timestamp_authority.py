"""A timestamp authority on loopback: `openssl ts` behind HTTP, with a CA of its own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

_CONFIG = """\
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[tsa_certificate]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = tsa1
[tsa1]
serial = {root}/serial
signer_cert = {root}/tsa.pem
signer_key = {root}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_alg = sha256
"""


class TimestampServer:
    """url: where it listens. ca: the PEM to trust it by."""

    def __init__(self, root: Path) -> None:
        self.url = ""
        self.ca = root / "ca.pem"
        self._root = root
        (root / "openssl.cnf").write_text(_CONFIG.format(root=root))
        (root / "serial").write_text("01\n")
        new = ("req", "-config", "openssl.cnf", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "30")
        self._openssl(
            *new, "-x509", "-extensions", "ca", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"
        )
        self._openssl(*new[:-2], "-subj", "/CN=tsa", "-keyout", "tsa.key", "-out", "tsa.csr")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-sha256")
        extended = ("-extfile", "openssl.cnf", "-extensions", "tsa_certificate")
        self._openssl("x509", "-req", "-in", "tsa.csr", *signed, *extended, "-out", "tsa.pem")

    def _openssl(self, *words: str, given: bytes = b"") -> bytes:
        done = subprocess.run(
            ["openssl", *words], cwd=self._root, input=given, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    async def answer(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/timestamp-query"
        (self._root / "query").write_bytes(await request.read())
        reply = self._openssl("ts", "-reply", "-config", "openssl.cnf", "-queryfile", "query")
        return web.Response(body=reply, content_type="application/timestamp-reply")


@contextlib.asynccontextmanager
async def timestamp_authority(root: Path) -> AsyncIterator[TimestampServer]:
    server = TimestampServer(root)
    async with listening("/", server.answer) as url:
        server.url = url
        yield server


@contextlib.asynccontextmanager
async def listening(path: str, answer: web.Handler) -> AsyncIterator[str]:  # type: ignore[name-defined]
    """A plain HTTP server on loopback that answers POSTs to `path`; its URL, without the path."""
    app = web.Application()
    app.router.add_post(path, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
