"""When a run is transparent, what its container gets for it, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ContainerFailed, ProxyError
from engine.events import RunState
from engine.run import launch


@pytest.fixture
def no_relay(monkeypatch):
    async def relay(home, spec, engine, network, sockets):
        raise ContainerFailed("there is no such image")

    monkeypatch.setattr(launch, "start_port_relay", relay)


@pytest.mark.parametrize(
    ("policy", "wish", "served"),
    [
        ("strict", "", True),
        ("strict", "transparent: false", False),
        ("permissive", "", False),
        ("permissive", "transparent: true", True),
    ],
)
async def test_by_policy_or_by_wish(one_run, tmp_path, policy, wish, served):
    (tmp_path / "ws" / "agent.yaml").write_text(f"network: {{{wish}}}\n")
    run = one_run(policy=policy)
    run.begin()
    await run.at("start")
    resolvers = [bind for bind in run.engine.spec.binds if bind.target == "/etc/resolv.conf"]
    assert len(run.engine.sockets) == (5 if served else 1)
    assert bool(resolvers) is served
    for bind in resolvers:
        assert bind.read_only
        assert Path(bind.source).read_text().endswith("\nnameserver 127.0.0.1\n")
    run.engine.end()
    await run.result()
    run.over(RunState.EXITED)


async def test_strict_goes_on_without_and_says_so(one_run, no_relay):
    run = one_run(policy="strict")
    run.engine.low_ports_refused = True
    run.begin()
    await run.at("start")
    assert [bind.target for bind in run.engine.spec.binds] == ["/workspace"]
    assert any(
        "clients that ignore HTTP_PROXY" in line and "Permission denied" in line for line in run.notices
    )
    run.engine.end()
    await run.result()
    run.over(RunState.EXITED)


async def test_a_wish_that_cannot_be_kept_ends_the_run(one_run, tmp_path, no_relay):
    (tmp_path / "ws" / "agent.yaml").write_text("network: {transparent: true}\n")
    run = one_run()
    run.engine.low_ports_refused = True
    run.begin()
    with pytest.raises(ProxyError, match=r"network\.transparent cannot be kept here"):
        await run.result()
    run.over(RunState.FAILED)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_relay_has_the_ports_that_this_process_cannot_have(one_run, monkeypatch, fails):
    asked = []

    async def relay(home, spec, engine, network, sockets):
        asked.append(sockets)
        if fails:
            raise ContainerFailed("there is no such image")
        return "192.168.240.2"

    monkeypatch.setattr(launch, "start_port_relay", relay)
    run = one_run(policy="strict")
    run.engine.low_ports_refused = True
    run.begin()
    await run.at("start")
    resolvers = [bind for bind in run.engine.spec.binds if bind.target == "/etc/resolv.conf"]
    assert [Path(bind.source).read_text().split()[-1] for bind in resolvers] == ["192.168.240.2"] * (
        not fails
    )
    assert any("no such image" in line for line in run.notices) is fails
    run.engine.end()
    await run.result()
    run.over(RunState.EXITED)
    assert all(sock.fileno() == -1 for sock in asked[0].sockets())
