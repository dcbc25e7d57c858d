"""A package registry with one package called `tiny`: PyPI's simple index and npm's, from memory.

Sources: PyPA "Simple repository API" and "Binary distribution format"; npm's "package metadata".
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import tarfile
import zipfile

from support.messages import Response

HOST = "packages.test"
WHEEL = "tiny-1.0-py3-none-any.whl"
TARBALL = "tiny-1.0.0.tgz"
SAYS = "hello from tiny"


def respond(path: str) -> Response:
    """What the registry has at a path; 404 for anything else."""
    match path:
        case "/simple/tiny/":
            digest = hashlib.sha256(_wheel()).hexdigest()
            link = f'<a href="/files/{WHEEL}#sha256={digest}">{WHEEL}</a>'
            page = f"<!DOCTYPE html><html><body>{link}</body></html>"
            return Response(200, page.encode(), kind="text/html")
        case "/npm/tiny":
            digest = base64.b64encode(hashlib.sha512(_tarball()).digest()).decode()
            dist = {"tarball": f"https://{HOST}/files/{TARBALL}", "integrity": f"sha512-{digest}"}
            version = {"name": "tiny", "version": "1.0.0", "dist": dist}
            packument = {"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
            return Response(200, json.dumps(packument).encode())
        case _ if path == f"/files/{WHEEL}":
            return Response(200, _wheel(), kind="application/octet-stream")
        case _ if path == f"/files/{TARBALL}":
            return Response(200, _tarball(), kind="application/octet-stream")
    return Response(404, b"{}")


def _wheel() -> bytes:
    files = {
        "tiny.py": f"SAYS = {SAYS!r}\n",
        "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files["tiny-1.0.dist-info/RECORD"] = "".join(f"{name},,\n" for name in files)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()


@functools.cache  # a gzip file says when it was made, so a second one has another digest
def _tarball() -> bytes:
    files = {
        "package/package.json": json.dumps({"name": "tiny", "version": "1.0.0", "main": "index.js"}),
        "package/index.js": f"module.exports = {json.dumps(SAYS)}\n",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()
