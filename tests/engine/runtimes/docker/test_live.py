"""Real containers under runc and under gVisor: what a run is promised of them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import threading
from contextlib import closing

import pytest

from engine.errors import ContainerFailed, ImageUnavailable, UsageError
from engine.runtimes import Bind, PlacedFile
from engine.runtimes.docker import image

pytestmark = pytest.mark.docker

GVISOR = pytest.param("gvisor", marks=pytest.mark.gvisor)
each_sandbox = pytest.mark.parametrize("sandbox", ["standard", GVISOR])

TALK = """
import hashlib, os, sys
def block(n): return hashlib.sha512(n.to_bytes(4, "big")).digest() * 1024
for n in range(80):
    for fd in (1, 2):
        data = block(2 * n + fd)
        while data: data = data[os.write(fd, data):]
sys.exit(7)
"""


def talk(fd: int) -> bytes:
    return b"".join(hashlib.sha512((2 * n + fd).to_bytes(4, "big")).digest() * 1024 for n in range(80))


@each_sandbox
async def test_five_megabytes_on_each_stream_arrive_exact_and_unmixed(lab, sandbox) -> None:
    result = await lab.run("python3", "-c", TALK, sandbox=sandbox)
    assert result.code == 7
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(talk(1)).digest()
    assert hashlib.sha256(result.stderr).digest() == hashlib.sha256(talk(2)).digest()


@each_sandbox
async def test_an_agent_that_ends_at_once_is_heard(lab, sandbox) -> None:
    result = await lab.run("sh", "-c", r"printf '\0out\377'; printf err >&2; exit 3", sandbox=sandbox)
    assert (result.code, result.stdout, result.stderr) == (3, b"\0out\xff", b"err")


@each_sandbox
async def test_input_reaches_the_agent_and_ends(lab, sandbox) -> None:
    spec = lab.spec(await lab.network(), "sh", "-c", "wc -c; echo done", interactive=True, sandbox=sandbox)
    container = await lab.docker.create(spec)
    async with await container.attach() as attachment, asyncio.timeout(60):
        await container.start()
        for _ in range(16):
            await attachment.write(b"x" * 65_536)
        await attachment.close_stdin()
        said = b"".join([data async for _, data in attachment])
    assert said.split() == [b"1048576", b"done"]
    assert await container.wait() == 0


async def test_a_terminal_has_its_size_and_all_its_keys(lab) -> None:
    script = 'stty raw -echo; printf "ready "; head -c 4 | od -An -tx1; stty size'
    spec = lab.spec(await lab.network(), "sh", "-c", script, interactive=True, tty=True)
    container = await lab.docker.create(spec)
    async with await container.attach() as attachment, asyncio.timeout(60):
        await container.resize(40, 100)  # nothing yet: it has not started
        await container.start()
        await container.resize(41, 101)
        said = b""
        async for stream, data in attachment:
            assert stream == "stdout"
            if b"ready" in data:
                await attachment.write(b"\x10\x11\x10\x1a")  # ctrl-p ctrl-q would detach by Docker's default
            said += data
    assert said.split() == [b"ready", b"10", b"11", b"10", b"1a", b"41", b"101"]
    await container.resize(50, 50)  # it has ended: nothing


@each_sandbox
async def test_stop_ends_an_agent_that_does_not_care_about_signals(lab, sandbox) -> None:
    spec = lab.spec(await lab.network(), "sleep", "300", sandbox=sandbox)
    container = await lab.docker.create(spec)
    await container.start()
    async with asyncio.timeout(8):  # TERM ends it, long before the grace of 30 s is over
        await container.stop(grace=30)
    assert await container.wait() == 143
    await container.stop()
    await container.kill()


@each_sandbox
async def test_stop_asks_first_and_kills_what_refuses(lab, sandbox) -> None:
    script = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.1; done"
    spec = lab.spec(await lab.network(), "sh", "-c", script, sandbox=sandbox)
    container = await lab.docker.create(spec)
    said = b""
    async with await container.attach() as attachment, asyncio.timeout(60), asyncio.TaskGroup() as group:
        await container.start()
        async for _, data in attachment:
            if b"ready" in data:
                group.create_task(container.stop(grace=1))
            said += data
    assert said.split() == [b"ready", b"asked"]
    assert await container.wait() == 137


@pytest.mark.parametrize("user", ["1234:1235", "0:0", "33:33"])  # the image knows the last two
async def test_home_files_are_the_agents_own_and_take_nobodys_place(lab, user, tmp_path) -> None:
    home = {"1234:1235": "/home/moat", "0:0": "/root", "33:33": "/var/www"}[user]
    script = (
        "cd ~ && pwd && stat -c '%n %u:%g %a' .env .aws .aws/credentials && cat .env && touch .aws/config"
    )
    spec = lab.spec(
        await lab.network(), "sh", "-c", script, user=user,
        binds=(Bind(str(tmp_path), f"{home}/.ssh"),),
        home_files=tuple(
            PlacedFile(path, b"A=1\n", mode=0o600) for path in (".env", ".aws/credentials", ".ssh/id_x")
        ),
    )  # fmt: skip
    container = await lab.docker.create(spec)
    assert container.left_out == (".ssh/id_x",)
    async with await container.attach() as attachment, asyncio.timeout(60):
        await container.start()
        said = b"".join([data async for _, data in attachment]).decode()
    assert said.splitlines() == [
        home, f".env {user} 600", f".aws {user} 700", f".aws/credentials {user} 600", "A=1",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@each_sandbox
async def test_files_belong_to_the_user_and_the_user_has_a_home(lab, sandbox, tmp_path) -> None:
    workspace = tmp_path / "work:space"
    workspace.mkdir()
    os.chown(workspace, 1234, 1235)
    script = """
        set -e; id -un; id -gn; echo "$HOME"; cd /workspace; git init -q repo; touch made ~/mine
        python3 -c 'import getpass, pathlib; print(getpass.getuser(), pathlib.Path.home())'
        cat /moat/note; ssh -G example.com >/dev/null 2>&1
        touch /read-only/x 2>/dev/null || echo kept out
    """
    (tmp_path / "ro").mkdir(mode=0o777)
    result = await lab.run(
        "bash", "-c", script, user="1234:1235", sandbox=sandbox, workdir="/workspace",
        binds=(Bind(str(workspace), "/workspace"), Bind(str(tmp_path / "ro"), "/read-only", read_only=True)),
        files=(PlacedFile("/moat/note", b"placed\n"),),
    )  # fmt: skip
    assert result.stderr == b""
    assert result.text.split("\n") == [
        "moat",
        "moat",
        "/home/moat",
        "moat /home/moat",
        "placed",
        "kept out",
        "",
    ]
    made = (workspace / "made").stat()
    assert (made.st_uid, made.st_gid) == (1234, 1235)
    assert (workspace / "repo" / ".git").stat().st_uid == 1234


@pytest.mark.parametrize(
    ("user", "effective", "sandbox"),
    [
        ("0:0", 0xFB, "standard"),
        ("1234:1234", 0, "standard"),
        pytest.param("0:0", 0xFB, "gvisor", marks=pytest.mark.gvisor),
        pytest.param("1234:1234", 0, "gvisor", marks=pytest.mark.gvisor),
    ],
)
async def test_capabilities_are_what_is_said_and_no_more(lab, user, effective, sandbox) -> None:
    result = await lab.run("cat", "/proc/self/status", user=user, sandbox=sandbox)
    status = dict(line.split(":\t", 1) for line in result.text.splitlines() if ":\t" in line)
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == effective
    assert int(status["CapBnd"], 16) == effective
    if sandbox == "standard":  # gVisor does not show the flag
        assert status["NoNewPrivs"] == "1"


async def test_root_can_do_what_package_managers_do(lab) -> None:
    """Change owners and modes, read what is another's, become another user."""
    script = "touch /f && chown 33:33 /f && chmod 600 /f && cat /f && setpriv --reuid 33 --clear-groups id -u"
    result = await lab.run("sh", "-c", script)
    assert (result.code, result.text) == (0, "33\n")


REACH = """
import os, socket, sys, time
from concurrent.futures import ThreadPoolExecutor
def tcp(host, port):
    try:
        with socket.create_connection((host, port), 8): return "connected"
    except OSError as error: return "kept out"
def udp(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        try:
            s.sendto(b"x", (host, port)); s.recv(1); return "answered"
        except OSError as error: return "kept out"
def name(text):
    start = time.monotonic()
    try: socket.getaddrinfo(text, 443); return "resolved"
    except socket.gaierror: return "unknown" if time.monotonic() - start < 4 else "slow"
others = [(host, int(port)) for host, port in (place.split(":") for place in os.environ["OTHERS"].split())]
pool = ThreadPoolExecutor(20)
tcps, udps = [pool.submit(tcp, *o) for o in others], [pool.submit(udp, o[0], 53) for o in others]
print("gateway", tcp("host.docker.internal", int(os.environ["PORT"])))
print(*[each.result() for each in tcps], *[each.result() for each in udps], sep=", ")
print("name", name("secret.example.com"))
print("ipv6", *[line for line in open("/proc/net/if_inet6") if "lo" not in line.split()])
"""


def serve(address: str) -> tuple[socket.socket, int]:
    """Accepts one connection after the other, closing each, until it is closed itself."""
    listener = socket.create_server((address, 0))

    def accept() -> None:
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    return listener, listener.getsockname()[1]


def stop(listener: socket.socket) -> None:
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def outward_address() -> str:
    """The address this machine has towards the world; nothing is sent."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("this machine has no outward address to keep the container from")
        return str(probe.getsockname()[0])


@each_sandbox
async def test_strict_reaches_its_gateway_and_nothing_else(lab, sandbox) -> None:
    network = await lab.network(internal=True)
    elsewhere = await lab.network()
    proxy, port = serve(network.gateway)
    outward, _ = serve(outward_address())
    neighbour, _ = serve(elsewhere.gateway)
    places = [("192.0.2.1", 80), ("203.0.113.7", 443), outward.getsockname(), neighbour.getsockname()]
    env = {"PORT": str(port), "OTHERS": " ".join(f"{host}:{port}" for host, port in places)}
    hosts = {"host.docker.internal": network.gateway}
    try:
        result = await lab.run(
            "python3", "-c", REACH, network=network, sandbox=sandbox, env=env, extra_hosts=hosts
        )
    finally:
        for listener in (proxy, outward, neighbour):
            stop(listener)
    assert result.stderr == b""
    assert result.text.splitlines() == [
        "gateway connected",
        ", ".join(["kept out"] * 8),
        "name unknown",
        "ipv6",
    ]


async def test_runs_do_not_reach_each_other(lab) -> None:
    mine, other = await lab.network(), await lab.network()
    serve_once = "import socket; s = socket.create_server(('', 99)); print('up', flush=True); s.accept()"
    spec = lab.spec(other, "python3", "-c", serve_once)
    container = await lab.docker.create(spec)
    async with await container.attach() as attachment, asyncio.timeout(60):
        await container.start()
        async for _, data in attachment:
            assert data == b"up\n"
            break
    address = other.gateway.rsplit(".", 1)[0] + ".2"
    probe = f"import socket; socket.create_connection(('{address}', 99), 2); print('in')"
    from_outside = await lab.run("python3", "-c", probe, network=mine)
    assert from_outside.stdout == b""
    assert from_outside.code == 1
    with socket.create_connection((address, 99), 5):  # it was there to be reached, from the host
        pass


async def test_leftovers_are_found_by_home_and_removed_by_run(lab) -> None:
    first, second = await lab.network(), await lab.network(internal=True)
    running = await lab.docker.create(lab.spec(first, "sleep", "300"))
    await running.start()
    await lab.docker.create(lab.spec(second, "true"))
    found = await lab.docker.leftovers(lab.label)
    assert sorted((each.kind, each.name, each.running) for each in found) == [
        ("container", *pair) for pair in sorted([(first.name, True), (second.name, False)])
    ] + [("network", name, False) for name in sorted([first.name, second.name])]
    assert await lab.docker.leftovers("another-home") == []

    gone = await lab.docker.remove_run(lab.runs[0])
    assert [each.kind for each in gone] == ["container", "network"]
    assert {each.run_id for each in await lab.docker.leftovers(lab.label)} == {lab.runs[1]}
    assert await lab.docker.remove_run(lab.runs[0]) == []
    await running.remove()

    both = await asyncio.gather(lab.docker.remove_run(lab.runs[1]), lab.docker.remove_run(lab.runs[1]))
    assert any(both)
    assert await lab.docker.leftovers(lab.label) == []


async def test_a_kept_container_is_dead_and_off_the_network(lab) -> None:
    network = await lab.network()
    container = await lab.docker.create(lab.spec(network, "sleep", "300"))
    await container.start()
    gone = await lab.docker.remove_run(lab.runs[0], keep_container=True)
    assert [each.kind for each in gone] == ["network"]
    assert [(each.kind, each.running) for each in await lab.docker.leftovers(lab.label)] == [
        ("container", False)
    ]


async def test_what_the_engine_refuses_is_explained(lab, tmp_path) -> None:
    network = await lab.network()
    with pytest.raises(ContainerFailed, match="does not exist for Docker: /nowhere/at all"):
        await lab.docker.create(lab.spec(network, "true", binds=(Bind("/nowhere/at all", "/x"),)))
    with pytest.raises(ImageUnavailable, match=r"registry\.invalid/no:1"):
        await lab.docker.create(lab.spec(network, "true", image="registry.invalid/no:1"))
    with pytest.raises(UsageError, match="Docker socket"):
        await lab.docker.create(lab.spec(network, "true", binds=(Bind("/run", "/x"),)))
    await lab.docker.create(lab.spec(network, "true"))
    with pytest.raises(ContainerFailed, match="exists already"):
        await lab.docker.create(lab.spec(network, "true"))
    with pytest.raises(ContainerFailed, match="exists already"):
        await lab.docker.create_network(lab.runs[0], lab.label, internal=False)


async def test_a_missing_image_is_told_quickly(lab) -> None:
    said: list[str] = []
    async with asyncio.timeout(30):
        with pytest.raises(ImageUnavailable, match=r"127\.0\.0\.1:1/nothing:here"):
            await lab.docker.ensure_image("127.0.0.1:1/nothing:here", said.append)
        with pytest.raises(ImageUnavailable, match="Not A Name"):
            await lab.docker.ensure_image("Not A Name", said.append)
    assert said[0] == "pulling the image 127.0.0.1:1/nothing:here"


async def test_a_registry_that_says_nothing_is_given_up(lab, monkeypatch) -> None:
    monkeypatch.setattr(image, "SILENCE", 0.5)
    with closing(socket.create_server(("127.0.0.1", 0))) as registry:  # connections wait in its backlog
        ref = f"127.0.0.1:{registry.getsockname()[1]}/never:answered"
        async with asyncio.timeout(20):
            with pytest.raises(ImageUnavailable) as caught:
                await lab.docker.ensure_image(ref, lambda line: None)
    assert ref in caught.value.what
    assert "silent" in caught.value.detail


async def test_an_image_that_is_here_costs_no_word(lab, docker_engine) -> None:
    said: list[str] = []
    await lab.docker.ensure_image("debian:bookworm-slim", said.append)
    assert said == []
    assert docker_engine.version
    assert await lab.docker.info() == docker_engine


async def test_memory_limits_are_told_apart_from_a_kill(lab) -> None:
    spec = lab.spec(await lab.network(), "python3", "-c", "x = b'x' * 10**9", memory_mb=48)
    container = await lab.docker.create(spec)
    await container.start()
    assert await container.wait() == 137
    assert await container.out_of_memory()


async def test_a_mount_swapped_for_a_link_before_the_start_is_not_followed(lab, tmp_path) -> None:
    """As an agent could that runs on the same workspace: the engine follows links only when it starts."""
    place, secret = tmp_path / "data", tmp_path / "secret"
    place.mkdir()
    secret.mkdir()
    (secret / "key").write_text("the key")
    network = await lab.network()
    spec = lab.spec(network, "cat", "/data/key", binds=(Bind(str(place), "/data"),))
    container = await lab.docker.create(spec)
    place.rmdir()
    place.symlink_to(secret)
    with pytest.raises(UsageError, match="replaced by a symbolic link"):
        await container.start()
    with pytest.raises(UsageError, match="replaced by a symbolic link"):
        await lab.docker.create(spec)
