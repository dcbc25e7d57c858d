"""A run with services on a scripted engine: what the agent gets, what is written down, how it ends."""

from __future__ import annotations

import asyncio
import base64
import re

import pytest

from engine.errors import ContainerFailed, ImageUnavailable
from engine.events import RunState
from engine.run.beside.sidecar import Sidecars
from engine.run.granted.decoys import make_decoys
from engine.run.granted.injections import Granted

PASSWORD = "pw-4e7f0a1b2c3d4e5f60718293"


@pytest.fixture
def served(one_run, tmp_path):
    """Makes a run whose workspace asks for redis; called in the test's loop."""
    (tmp_path / "ws" / "agent.yaml").write_text("dependencies: [redis@7]\n")

    def make(**more):
        granted = Granted((), ())
        granted.services = {"redis": PASSWORD}
        if more.get("decoys"):
            granted.decoys = make_decoys(aws=True)
        return one_run(granted=granted, **more)

    return make


async def test_the_agent_starts_with_its_service_beside_it(served):
    run = served(policy="strict")
    run.begin()
    await run.at("wait")
    redis = run.engine.sidecars["redis"]
    assert run.engine.calls.index("start redis:7") < run.engine.calls.index("start")
    assert run.engine.spec.extra_hosts["redis"] == "127.0.7.1"
    env = run.engine.spec.env
    assert env["MOAT_REDIS_URL"] == f"redis://default:{PASSWORD}@redis:6379"
    assert env["NO_PROXY"] == env["no_proxy"] == "localhost,127.0.0.1,::1,redis"
    assert (redis.spec.sandbox, redis.spec.network.internal) == ("gvisor", True)
    assert run.metadata.services == {"redis": "redis:7"}
    run.engine.attachment.feed(f"using {PASSWORD}\n".encode())
    run.engine.end(0)
    assert (await run.result()).exit_code == 0
    run.over(RunState.EXITED)
    entries = run.entries()
    assert entries[0].data["message"].endswith("services redis (redis:7)")
    reasons = [entry.data["reason"] for entry in entries if entry.data.get("action") == "sidecar"]
    assert reasons == ["redis started, image redis:7, image id sha256:abc"]
    assert [entry.data["line"] for entry in entries if entry.type == "console"] == ["using [REDACTED]"]
    for file in run.home.run(run.id).iterdir():
        assert file.is_dir() or PASSWORD.encode() not in file.read_bytes()
    assert run.notices == []


async def test_a_service_that_ends_is_said_and_the_run_goes_on(served):
    run = served()
    run.begin()
    await run.at("wait")
    run.engine.sidecars["redis"].output.feed(b"Out of disk\n")
    run.engine.sidecars["redis"].end(1)
    async with asyncio.timeout(20):
        while not run.notices:  # noqa: ASYNC110 - a plain list: nothing to await
            await asyncio.sleep(0.01)
    assert run.notices[0].startswith("the service redis ended with exit code 1. It said last: Out of disk.")
    run.engine.end(0)
    info = await run.result()
    assert (info.state, info.lost) == (RunState.EXITED, ("redis ended with exit code 1",))
    reasons = [entry.data.get("reason") for entry in run.entries()]
    assert "redis ended with exit code 1" in reasons
    assert (run.home.run(run.id) / "redis.log").read_text() == "Out of disk\n"


async def test_a_service_that_cannot_start_ends_the_start(served):
    run = served()
    run.engine.fails["start redis:7"] = ContainerFailed("the image has no user redis")
    run.begin()
    with pytest.raises(ContainerFailed, match="no user redis"):
        await run.result()
    run.over(RunState.FAILED)
    assert "start" not in run.engine.calls


async def test_an_image_that_cannot_be_had_ends_the_start(served):
    run = served()
    run.engine.fails["ensure_image"] = ImageUnavailable("not here")
    run.begin()
    with pytest.raises(ImageUnavailable):
        await run.result()
    run.over(RunState.FAILED)


async def test_a_stop_while_a_service_is_waited_for_ends_the_start(served, monkeypatch):
    asked = asyncio.Event()

    async def answers(self, each):
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Sidecars, "_answers", answers)
    run = served()
    run.begin()
    await asyncio.wait_for(asked.wait(), 20)
    run.supervisor.request_stop()
    assert (await run.result()).state == RunState.STOPPED
    run.over(RunState.STOPPED)
    assert "start" not in run.engine.calls


@pytest.mark.parametrize("policy", ["permissive", "strict"])
async def test_a_frozen_network_is_frozen_for_services_too(served, policy):
    """In `permissive` one could send what the agent put into it."""
    run = served(policy=policy, decoys=True)
    run.begin()
    await run.at("wait")
    await _lose_a_decoy(run)
    redis = run.engine.sidecars["redis"]
    async with asyncio.timeout(20):
        while not run.notices or (policy == "permissive" and redis.on_network):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    run.engine.end(0)
    await run.result()
    assert redis.on_network is (policy == "strict")


async def _lose_a_decoy(run):
    proxy = re.fullmatch(r"http://(.+)@.+:(\d+)", run.engine.spec.env["HTTPS_PROXY"])
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy[2]))
    key_id = next(f.content for f in run.engine.spec.home_files if f.path == ".aws/credentials").split()[3]
    token = base64.b64encode(proxy[1].encode())
    writer.write(b"GET http://a.test/%s HTTP/1.1\r\nHost: a.test\r\n" % key_id)
    writer.write(b"Proxy-Authorization: Basic %s\r\n\r\n" % token)
    async with asyncio.timeout(10):
        assert b" 403 " in await reader.readline()
    writer.close()
