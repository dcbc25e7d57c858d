"""`--fix` does what is missing, in order, says it before, and nothing the second time."""

from __future__ import annotations

import json

import pytest

from engine.doctor import fix
from engine.doctor.fix import fix_machine
from engine.doctor.results import CheckState
from engine.errors import RuntimeFailure


async def nothing(_home):
    return []


@pytest.fixture
def daemon_of(engine, machine, monkeypatch):
    """A fake engine that takes up daemon.json when told to reload, as dockerd does on SIGHUP."""
    reloads = []

    async def reload(given, *, expect_runtime):
        reloads.append(expect_runtime)
        engine.info["Runtimes"] = {"runc": {}} | json.loads(given.daemon_json.read_text())["runtimes"]
        if "--network=host" in expect_runtime.get("runtimeArgs", []):
            engine.start_error.clear()

    monkeypatch.setattr(fix, "reload_daemon", reload)
    engine.images |= {machine.base_image: [], machine.tools_image: []}
    return reloads


def states(results):
    return {result.name: result.state for result in results}


async def test_gvisor_is_registered_next_to_the_rest_and_made_to_start(
    home, machine, engine, commands, said, daemon_of
):
    commands.add("runsc")
    machine.daemon_json.parent.mkdir()
    machine.daemon_json.write_text('{"debug": true}')
    engine.start_error["runsc"] = "cannot run with network enabled in root network namespace"
    results = await fix_machine(home, said, machine=machine, find=nothing)
    assert states(results)["gvisor"] is CheckState.OK
    runsc = str(commands.directory / "runsc")
    assert json.loads(machine.daemon_json.read_text()) == {
        "debug": True,
        "runtimes": {"runsc": {"path": runsc, "runtimeArgs": ["--network=host"]}},
    }
    assert [line.split()[0] for line in said] == ["registering", "telling", "gVisor"]
    assert "--network=host" in said[-1]
    assert len(daemon_of) == 2


async def test_the_second_time_nothing_is_said_or_done(home, machine, engine, commands, said, daemon_of):
    commands.add("runsc")
    await fix_machine(home, said, machine=machine, find=nothing)
    said.clear()
    written = machine.daemon_json.stat().st_mtime_ns
    results = await fix_machine(home, said, machine=machine, find=nothing)
    assert said == []
    assert machine.daemon_json.stat().st_mtime_ns == written
    assert set(states(results).values()) - {CheckState.OK} <= {CheckState.WARN}


async def test_broken_json_is_said_and_left_alone(home, machine, engine, commands, said, daemon_of):
    commands.add("runsc")
    machine.daemon_json.parent.mkdir()
    machine.daemon_json.write_text('{"debug": true,}')
    results = await fix_machine(home, said, machine=machine, find=nothing)
    assert "not valid JSON" in said.text
    assert machine.daemon_json.read_text() == '{"debug": true,}'
    assert states(results)["gvisor"] is CheckState.FAIL
    assert daemon_of == []


async def test_a_fresh_machine_installs_registers_and_starts_in_that_order(
    home, machine, commands, said, monkeypatch
):
    done = []

    async def install(given, names, say):
        done.append(f"install {' '.join(names)}")
        commands.add({"docker.io": "dockerd", "runsc": "runsc"}[names[0]])
        return True

    async def start(given):
        done.append("start, with gVisor registered: " + str("runsc" in given.daemon_json.read_text()))
        raise RuntimeFailure("dockerd ended right after its start", remedy="look")

    monkeypatch.setattr(fix, "install", install)
    monkeypatch.setattr(fix, "start_daemon", start)
    commands.add("apt-get")
    results = await fix_machine(home, said, machine=machine, find=nothing)
    assert done == [
        "install docker.io iptables",
        "install runsc",
        "start, with gVisor registered: True",
    ]
    assert "dockerd ended right after its start" in said.text
    assert states(results)["docker"] is CheckState.FAIL


async def test_an_engine_elsewhere_is_not_replaced_by_one_here(home, machine, altered, said):
    elsewhere = altered(machine, docker_host="unix:///nonexistent/d.sock", dockerd_args=())
    results = await fix_machine(home, said, machine=elsewhere, find=nothing)
    assert "cannot be reached" in said[0]
    assert not machine.daemon_json.exists()
    assert states(results)["docker"] is CheckState.FAIL


async def test_a_gvisor_too_old_for_this_kernel_is_replaced_by_the_newest(
    home, machine, engine, commands, said, daemon_of, monkeypatch
):
    commands.add("runsc")
    commands.add("apt-get")
    engine.start_error["runsc"] = "OCI runtime create failed: unsupported kernel"

    async def install(given, names, say):
        engine.start_error.clear()
        say(f"installing {names[0]}")
        return True

    monkeypatch.setattr(fix, "install", install)
    results = await fix_machine(home, said, machine=machine, find=nothing)
    assert "installing runsc" in said
    assert states(results)["gvisor"] is CheckState.OK


async def test_a_missing_gvisor_program_gets_a_path_that_exists(
    home, machine, engine, commands, said, daemon_of
):
    commands.add("runsc")
    machine.daemon_json.parent.mkdir()
    machine.daemon_json.write_text('{"runtimes": {"runsc": {"path": "/gone/runsc", "runtimeArgs": ["--x"]}}}')
    engine.info["Runtimes"]["runsc"] = {"path": "/gone/runsc"}
    engine.start_error["runsc"] = "fork/exec /gone/runsc: no such file or directory"

    await fix_machine(home, said, machine=machine, find=nothing)
    entry = json.loads(machine.daemon_json.read_text())["runtimes"]["runsc"]
    assert entry == {"path": str(commands.directory / "runsc"), "runtimeArgs": ["--x"]}


async def test_a_user_without_access_is_let_in(home, machine, altered, commands, said, monkeypatch):
    from engine.doctor.docker_engine import EngineFacts, EngineProblem, EngineTrouble

    answers = [EngineTrouble(EngineProblem.DENIED, "no"), EngineFacts("1", "1.41", "", {})]

    async def ask(_machine, **_kwargs):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(fix, "ask_engine", ask)
    commands.add("sudo")
    commands.add("setfacl")
    await fix.ready_engine(altered(machine, uid=1000), said)
    assert commands.calls == [
        "sudo -n env usermod -aG docker someone",
        f"sudo -n env setfacl -m u:someone:rw {machine.socket}",
    ]
    assert len(said) == 2


async def test_a_mirror_without_gvisor_still_gives_docker(home, machine, commands, said, monkeypatch):
    started = []

    async def install(given, names, say):
        if "runsc" in names:
            raise RuntimeFailure("runsc could not be installed")
        commands.add("dockerd")
        return True

    async def start(given):
        started.append(given)

    monkeypatch.setattr(fix, "install", install)
    monkeypatch.setattr(fix, "start_daemon", start)
    await fix.ready_engine(machine, said)
    assert started == [machine]
    assert "runsc could not be installed" in said.text
