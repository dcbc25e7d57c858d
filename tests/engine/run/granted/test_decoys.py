"""Decoys look like what they are not, differ from run to run, and what follows when one is seen."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import zlib

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from engine.home import Home
from engine.proxy.decoys import Decoys, DecoySeen
from engine.run.approval import asks_of
from engine.run.granted.decoys import make_decoys
from engine.run.granted.injections import Granted
from engine.run.granted.ssh_delivery import SshAccess
from engine.run.request import RunRequest
from engine.run.spec import settle
from engine.runtimes.docker.body import container_body

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def planted():
    return make_decoys(aws=True)


def text(planted, path: str) -> str:
    return next(file.content for file in planted.files if file.path == path).decode()


def seen(planted, body: bytes) -> bool:
    watch = Decoys(planted.decoys).watch([], lambda name: None, lambda: False)
    try:
        watch.body(body)
        watch.end()
    except DecoySeen:
        return True
    return False


def test_their_values_have_the_shape_of_real_ones(planted):
    assert re.fullmatch(
        r"\[production\]\naws_access_key_id = AKIA[A-Z2-7]{16}\naws_secret_access_key = [\w/+]{40}\n",
        text(planted, ".aws/credentials"),
    )
    token = re.search(r"GITHUB_TOKEN=ghp_(\w{30})(\w{6})\n", text(planted, ".env"))
    number = 0
    for digit in token[2]:
        number = number * 62 + DIGITS.index(digit)
    assert number == zlib.crc32(token[1].encode())
    private = load_ssh_private_key(text(planted, ".ssh/id_deploy").encode(), None)
    public = load_ssh_public_key(text(planted, ".ssh/id_deploy.pub").encode())
    assert private.public_key() == public
    assert max(map(len, text(planted, ".ssh/id_deploy").splitlines())) == 70


def test_no_client_uses_one_by_itself_and_nothing_calls_them_bait(planted):
    paths = {file.path for file in planted.files}
    assert paths == {".env", ".aws/credentials", ".ssh/id_deploy", ".ssh/id_deploy.pub"}
    assert "[default]" not in text(planted, ".aws/credentials")
    everything = "".join(file.content.decode().lower() for file in planted.files)
    for word in ("moat", "decoy", "fake", "bait", "honey"):
        assert word not in everything
    with_grant = make_decoys(aws=False)
    assert ".aws/credentials" not in {file.path for file in with_grant.files}


def test_each_run_has_its_own(planted):
    other = make_decoys(aws=True)
    mine, theirs = ({v for d in each.decoys for v in d.values} for each in (planted, other))
    assert not mine & theirs
    assert min(map(len, mine)) >= 20


@pytest.mark.parametrize("path", [".env", ".aws/credentials", ".ssh/id_deploy"])
def test_a_file_is_recognised_however_it_is_packed(planted, path):
    file = text(planted, path).encode()
    for begin in range(76):  # wherever base64 breaks its lines
        assert seen(planted, base64.encodebytes(b" " * begin + file)), begin
    assert seen(planted, file.replace(b"\n", b""))
    assert seen(planted, b"\\n".join(file.splitlines()))


def test_the_public_half_of_a_key_is_not_one(planted):
    assert not seen(planted, text(planted, ".ssh/id_deploy.pub").encode())
    lines = text(planted, ".ssh/id_deploy").splitlines()
    assert not seen(planted, lines[1].encode())  # as in every key of its kind


def test_no_repr_says_a_value(planted):
    assert repr(planted) == "Planted(~/.env, ~/.ssh/id_deploy, ~/.aws/credentials)"


@pytest.mark.parametrize(
    ("said", "host", "asked", "planted"),
    [
        (None, False, False, False),
        (None, True, False, True),  # the workspace's file cannot turn the person's off
        (None, False, True, True),
        (True, False, False, True),
        (False, True, True, False),
    ],
)
def test_who_decides_whether_there_are_decoys(tmp_path, said, host, asked, planted):
    home, workspace = Home(tmp_path / "home"), tmp_path / "ws"
    workspace.mkdir()
    (workspace / "agent.yaml").write_text(f"command: make\ndecoys: {str(asked).lower()}\n")
    home.ensure_dir(home.root)
    home.write(home.config_file, f"decoys: {str(host).lower()}\n".encode())
    spec = settle(home, RunRequest(workspace=str(workspace), decoys=said))
    assert spec.decoys is planted
    plain = msgspec.structs.replace(spec.config, decoys=False)
    assert asks_of(workspace, spec.config) == asks_of(workspace, plain)  # nobody is asked about them


@pytest.mark.parametrize("policy", ["permissive", "strict"])
async def test_a_frozen_network_is_told_and_cut(one_run, tmp_path, policy):
    granted = Granted((), ())
    granted.ssh = SshAccess((), (), tmp_path / "agent.sock")
    granted.decoys = make_decoys(aws=True)
    run = one_run(granted=granted, policy=policy, decoys=True, publish=("web:1",))
    run.begin()
    await run.at("wait")
    await run.at("address")
    assert run.engine.spec.home_files == granted.decoys.files
    key_id = text(granted.decoys, ".aws/credentials").split()[3]
    inspected = json.dumps(container_body(run.engine.spec)).lower()
    assert key_id.lower() not in inspected
    assert "decoy" not in inspected
    proxy = re.fullmatch(r"http://(.+)@.+:(\d+)", run.engine.spec.env["HTTPS_PROXY"])
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy[2]))
    token = base64.b64encode(proxy[1].encode()).decode()
    host = f"{key_id.lower()}.test:443"
    writer.write(f"CONNECT {host} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {token}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        assert b" 403 " in await reader.readline()
    writer.close()
    if policy == "permissive":
        await run.at("disconnect")
    _, agent, _ = next(f.content for f in run.engine.spec.files if f.path == "/moat/ssh/endpoint").split()
    published = run.engine.spec.env["MOAT_HOST_WEB"].rpartition(":")[2]
    async with asyncio.timeout(10):
        for port in (agent, published):
            while True:  # until it has closed
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", int(port))
                except (ConnectionRefusedError, ConnectionResetError):
                    break
                writer.close()
                await asyncio.sleep(0.01)
    run.engine.end(3)
    info = await run.result()
    assert (info.state, info.exit_code, info.decoys) == ("exited", 3, True)
    assert info.frozen.startswith("the decoy ~/.aws/credentials was about to leave, at 2")
    assert ("disconnect" in run.engine.calls) is (policy == "permissive")
    (alarm,) = [line for line in run.notices if line.startswith("ALARM")]
    assert "~/.aws/credentials" in alarm
    (entry,) = [entry for entry in run.entries() if entry.data.get("decision") == "freeze"]
    assert (entry.type, entry.data["rule"]) == ("policy", "decoy")
    for file in run.home.run(run.id).iterdir():
        assert file.is_dir() or key_id.lower().encode() not in file.read_bytes().lower()


async def test_a_direct_way_that_cannot_be_cut_is_said(one_run):
    from engine.errors import ContainerFailed

    granted = Granted((), ())
    granted.decoys = make_decoys(aws=True)
    run = one_run(granted=granted, decoys=True)
    run.engine.fails["disconnect"] = ContainerFailed("the engine would not")
    run.begin()
    await run.at("wait")
    proxy = re.fullmatch(r"http://(.+)@.+:(\d+)", run.engine.spec.env["HTTPS_PROXY"])
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy[2]))
    token = base64.b64encode(proxy[1].encode()).decode()
    key_id = text(granted.decoys, ".aws/credentials").split()[3]
    writer.write(
        f"GET http://a.test/{key_id} HTTP/1.1\r\nHost: a.test\r\n"
        f"Proxy-Authorization: Basic {token}\r\n\r\n".encode()
    )
    async with asyncio.timeout(10):
        assert b" 403 " in await reader.readline()
    writer.close()
    await run.at("disconnect")
    run.engine.end(0)
    assert (await run.result()).exit_code == 0
    assert any("could NOT be cut: the engine would not" in line for line in run.notices)
