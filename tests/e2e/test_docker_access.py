"""Agents that use Docker: a daemon of their own (docker:dind), and this machine's (docker:host)."""

from __future__ import annotations

import re
import socket
import ssl

import pytest
from e2e.conftest import CANARY, TOOLS_IMAGE, docker, kill, wait_until
from support.docker_images import BUILDKIT, DAEMON, docker_image

pytestmark = pytest.mark.docker

# Builds with both builders, and runs what it has built; $NET is what `docker run` needs beside. Nothing but
# the proxy answers in a container: not what is public, not this machine's services, not its name server.
# In a container inside: what is public, this machine's services and its name server; only the proxy answers.
INSIDE = r"""
busybox cat /w/said
proxy=${http_proxy##*@}; address=${proxy%:*}; port=${proxy##*:}
(printf 'GET http://example.com/ HTTP/1.0\r\n\r\n'; busybox sleep 1) |
    busybox nc -w 9 $address $port | busybox head -n 1
for place in 1.1.1.1:80 $address:22 $address:2375 172.17.0.1:22 10.255.255.53:53; do
    busybox nc -w 1 ${place%:*} ${place##*:} < /dev/null 2> /dev/null && echo "REACHED $place"
done
echo 'inside: done'
"""
# $NET is what `docker build` and `docker run` need beside.
BUILDER = rf"""
cd "$(mktemp -d)" && cp /bin/busybox .
printf 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "true"]\n' > Dockerfile
docker build $NET -t tiny . > build.log 2>&1 || {{ cat build.log; exit 3; }}
grep -q '^#' build.log && echo 'built by BuildKit'
DOCKER_BUILDKIT=0 docker build $NET -q . > /dev/null && echo 'built by the legacy builder'
echo 'seen by the same path' > /workspace/said
docker run --rm $NET -v /workspace:/w -i tiny /bin/busybox sh <<'INSIDE'
{INSIDE}
INSIDE
"""
# A client with its libraries is enough of an image to use a grant from inside.
USER_OF_A_GRANT = r"""
echo "$BUILDKIT_HOST $(cat < /dev/tcp/buildkit/1234)"
mkdir /tmp/root && cp --parents -L $(ldd /usr/bin/curl | grep -o '/[^ ]*') /usr/bin/curl /tmp/root
tar -C /tmp/root -c . | docker import - curl > /dev/null
docker run --rm -v /moat/ca:/moat/ca:ro -e CURL_CA_BUNDLE=/moat/ca/bundle.crt curl \
    curl -sS -m 20 https://api.github.com/user
docker pull -q github.com/octo/image:1 > /dev/null 2>&1 || echo
"""


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    return {"dind_image": docker_image(DAEMON, "dind"), "buildkit_image": docker_image(BUILDKIT, "buildkit")}


@pytest.fixture
def dind(moat, images):
    """`moat run` with the daemon's image, which is the agent's too, for it has the client."""
    moat.home.mkdir(mode=0o700, exist_ok=True)

    def configure(**other: str) -> list[str]:
        settings = {**images, "buildkit_image": "none", **other}
        file = moat.home / "config.yaml"
        file.write_text("docker:\n" + "".join(f"  {key}: {value}\n" for key, value in settings.items()))
        file.chmod(0o600)
        return ["--no-ui", "run", "--image", images["dind_image"]]

    return configure


def left_of(run: str) -> list[str]:
    """Of a run, in the engine."""
    label = f"label=moat.run={run}"
    return (
        docker("ps", "-aq", "--filter", label).split()
        + docker("network", "ls", "-q", "--filter", label).split()
    )


def asked_without_a_key(container: str) -> bytes:
    """What the daemon in it says to anybody on this machine, where the network is open."""
    address = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container)
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((address.strip(), 2376), 10) as raw, anybody.wrap_socket(raw) as tls:
        try:
            tls.sendall(b"GET /version HTTP/1.0\r\n\r\n")
            return tls.recv(4096)
        except OSError as refusal:
            return f"refused: {refusal}".encode()


def layers_of(container: str) -> str:
    """The volume of the daemon in it."""
    mounts = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}}{{end}}{{end}}'
    return docker("inspect", "-f", mounts, container).strip()


def volumes() -> list[str]:
    return docker("volume", "ls", "-q").split()


def docker_entry(entries: list[dict]) -> dict:
    return next(e["data"] for e in entries if e["type"] == "container" and e["data"]["action"] == "docker")


@pytest.mark.parametrize(
    ("flags", "net"),
    [
        pytest.param(["--no-sandbox"], "", id="runc"),
        pytest.param([], "--network host", id="gvisor", marks=pytest.mark.gvisor),
    ],
)
def test_in_strict_an_agent_builds_and_runs_containers_that_reach_nothing_but_the_proxy(
    moat, workspace, dind, flags, net
):
    done = moat(
        *dind(), workspace, *flags, "-n", "builder", "--docker", "dind", "--policy", "strict",
        "-e", f"NET={net}", "--", "sh", "-c", BUILDER,
    )  # fmt: skip
    assert done.stdout.decode().splitlines() == [
        "built by BuildKit",
        "built by the legacy builder",
        "seen by the same path",
        "HTTP/1.1 407 Proxy Authentication Required",
        "inside: done",
    ]
    said = done.stderr.decode()
    assert ("WARNING: docker:dind" in said) == bool(flags)
    assert "images are built by the Docker daemon's own BuildKit" in said
    run = moat.run_named("builder")
    assert run["docker"] == "dind"
    assert left_of(run["id"]) == []
    entries = moat.entries("builder")
    assert "docker:dind" in entries[0]["data"]["message"]
    entry = docker_entry(entries)
    assert entry["privileged"] is entry["buildkit_enabled"] is True
    assert "sandbox " + ("standard" if flags else "gvisor") in entry["reason"]


def test_a_container_inside_uses_a_grant_and_the_daemon_pulls_through_the_proxy(
    moat, workspace, dind, images, github
):
    moat.grant()
    (workspace / "agent.yaml").write_text("dependencies: [docker:dind]\nsandbox: false\n")
    run = dind(buildkit_image=images["buildkit_image"])
    rest = ("-n", "user", "-g", "github", *github.flags(), "--", "bash", "-c", USER_OF_A_GRANT)
    refused = moat(*run, workspace, *rest, check=False)
    assert refused.returncode == 125
    assert b"docker:dind" in refused.stderr
    done = moat(*run, workspace, "--accept-config", *rest)
    buildkit, user = done.stdout.splitlines()
    assert buildkit == b"tcp://buildkit:1234 worker"
    assert b"login" in user
    assert CANARY.encode() not in done.stdout + done.stderr
    seen = {(each["host"], each.get("grant", "")) for each in moat.requests("user")}
    assert ("api.github.com", "github") in seen
    assert "github.com" in {host for host, _ in seen}  # the daemon's own TLS trusts the proxy's authority
    entry = docker_entry(moat.entries("user"))
    assert entry["buildkit_enabled"] is True
    assert re.fullmatch("[0-9a-f]{64}", entry["buildkit_container_id"])
    assert re.fullmatch("[0-9a-f]{64}", entry["buildkit_network_id"])


def test_a_killed_run_leaves_no_daemon_and_no_layers(moat, workspace, dind):
    # Its BuildKit ends at once, for the image has none: the run goes on without, and says so.
    agent = moat.start(
        *dind(buildkit_image=TOOLS_IMAGE), workspace, "--no-sandbox", "-n", "killed", "--docker", "dind",
        "--", "sh", "-c", "docker info > /workspace/info && mv /workspace/info /workspace/ready && sleep 600",
    )  # fmt: skip
    wait_until(lambda: (workspace / "ready").exists())
    run = moat.run_named("killed")
    names = docker("ps", "--filter", f"label=moat.run={run['id']}", "--format", "{{.Names}}").split()
    assert sorted(names) == [f"moat-{run['id']}", f"moat-{run['id']}-docker"]
    layers = layers_of(f"moat-{run['id']}-docker")
    assert layers in volumes()
    assert asked_without_a_key(f"moat-{run['id']}-docker").startswith(b"refused: ")
    kill(agent.pid)
    _, said = agent.communicate(timeout=30)
    assert b"by the Docker daemon's own BuildKit: no BuildKit sidecar (the BuildKit sidecar " in said
    moat("list")
    assert left_of(run["id"]) == []
    assert layers not in volumes()


def test_a_daemon_that_cannot_start_fails_the_run_with_its_last_words(moat, workspace, dind, images):
    dockerfile = f"""\
FROM {images["dind_image"]}
WORKDIR /usr/local/bin
RUN printf '#!/bin/sh\\necho no room for layers >&2; exit 3' > dockerd && chmod +x dockerd
"""
    broken = dind(dind_image=docker_image(dockerfile, "broken"))
    done = moat(*broken, workspace, "--no-sandbox", "--docker", "dind", "--", "true", check=False)
    assert done.returncode == 125
    assert b"the Docker daemon of docker:dind ended with exit code 3" in done.stderr
    assert b"no room for layers" in done.stderr
    (run,) = moat.runs()
    assert left_of(run["id"]) == []


def test_with_the_machines_own_engine_the_agent_sees_all_of_it_and_everybody_is_told(moat, workspace, dind):
    done = moat(
        *dind(), workspace, "--no-sandbox", "-n", "rooted", "--docker", "host",
        "--", "docker", "ps", "-a", "--format", "{{.Names}}",  # the engine may not call it running yet
    )  # fmt: skip
    run = moat.run_named("rooted")
    assert f"moat-{run['id']}" in done.stdout.decode().split()
    assert b"WARNING: docker:host" in done.stderr
    assert run["docker"] == "host"
    entries = moat.entries("rooted")
    assert "docker:host" in entries[0]["data"]["message"]
    assert "docker.sock" in docker_entry(entries)["reason"]


@pytest.mark.gvisor
def test_under_gvisor_the_machines_own_engine_is_reached_by_the_agent_alone(moat, workspace, dind):
    """By TLS: gVisor connects to no socket of this machine. Input that ends leaves the answer whole."""
    inner = f"docker run --rm -i --network none --entrypoint sh {TOOLS_IMAGE} -c 'sort -n | tail -1'"
    script = (
        "docker ps -a --format '{{.Names}}'; "
        f"seq 200000 | {inner}; "
        "env -u DOCKER_CERT_PATH -u DOCKER_TLS_VERIFY docker version >/dev/null 2>&1"
        " || echo no key, no engine"
    )
    done = moat(*dind(), workspace, "-n", "rooted", "--docker", "host", "--", "sh", "-c", script)
    run = moat.run_named("rooted")
    assert run["sandbox"] == "gvisor"
    *names, last, refused = done.stdout.decode().splitlines()
    assert f"moat-{run['id']}" in names
    assert (last, refused) == ("200000", "no key, no engine")
    assert b"WARNING: docker:host" in done.stderr
    assert "docker.sock is reached at docker:" in docker_entry(moat.entries("rooted"))["reason"]
