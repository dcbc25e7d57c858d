"""gVisor counts as there only when a container's kernel says that it is gVisor."""

from __future__ import annotations

import pytest

from engine.doctor.gvisor import GvisorProblem, check_gvisor, classify, try_gvisor
from engine.doctor.results import CheckState

ROOT_NETNS = (
    "OCI runtime start failed: starting container: setting up network: creating interfaces from net "
    'namespace "/proc/21813/ns/net": cannot run with network enabled in root network namespace: unknown'
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Unknown runtime specified runsc", GvisorProblem.NOT_REGISTERED),
        ("unknown or invalid runtime name: runsc", GvisorProblem.NOT_REGISTERED),
        (ROOT_NETNS, GvisorProblem.HOST_NETWORK),
        (
            "failed to create shim task: OCI runtime create failed: unable to retrieve OCI runtime error "
            "(open /run/log.json: no such file): fork/exec /usr/bin/no: no such file or directory",
            GvisorProblem.WRONG_PATH,
        ),
        ('exec: "runsc": executable file not found in $PATH: unknown', GvisorProblem.WRONG_PATH),
        ("No such image: debian:bookworm-slim", GvisorProblem.NO_IMAGE),
        ("OCI runtime create failed: platform kvm unavailable", GvisorProblem.OTHER),
    ],
)
def test_the_daemons_words_are_understood(text, problem):
    assert classify(text) is problem


@pytest.fixture
def ready(engine, machine):
    engine.images[machine.base_image] = []
    engine.info["Runtimes"]["runsc"] = {"path": "/usr/bin/runsc"}
    return engine


async def test_a_container_under_gvisor_is_the_proof_and_leaves_nothing(ready, machine):
    result = await check_gvisor(machine)
    assert result.state is CheckState.OK
    (container,) = ready.containers.values()
    assert container["HostConfig"]["Runtime"] == "runsc"
    assert ready.removed == list(ready.containers)


async def test_a_runtime_that_is_only_called_runsc_is_found_out(ready, machine):
    ready.kernel = "Linux version 6.1.0 (builder@plain)\n"
    attempt = await try_gvisor(machine)
    assert attempt.problem is GvisorProblem.IMPOSTOR
    assert (await check_gvisor(machine)).state is CheckState.FAIL


async def test_the_kernel_that_needs_the_host_network_is_named_with_its_remedy(ready, machine):
    ready.start_error["runsc"] = ROOT_NETNS
    result = await check_gvisor(machine)
    assert result.state is CheckState.FAIL
    assert "--network=host" in result.remedy
    assert result.fixable
    assert ready.removed == list(ready.containers), "a container that did not start is removed too"


async def test_not_installed_and_not_registered_are_told_apart(ready, machine, commands):
    del ready.info["Runtimes"]["runsc"]
    assert (await try_gvisor(machine)).problem is GvisorProblem.NOT_INSTALLED
    commands.add("runsc")
    assert (await try_gvisor(machine)).problem is GvisorProblem.NOT_REGISTERED


async def test_without_an_image_it_says_that_it_could_not_be_tried(engine, machine):
    result = await check_gvisor(machine)
    assert result.state is CheckState.FAIL
    assert "could not be tried" in result.message


async def test_without_an_engine_it_says_that_it_could_not_be_tried(machine):
    result = await check_gvisor(machine)
    assert "could not be tried" in result.message


async def test_elsewhere_than_on_linux_it_is_not_asked_for(machine, altered):
    result = await check_gvisor(altered(machine, system="Darwin"))
    assert (result.state, result.needed) == (CheckState.OK, False)


async def test_docker_desktop_has_none_and_needs_none(ready, machine):
    del ready.info["Runtimes"]["runsc"]
    ready.info["OperatingSystem"] = "Docker Desktop"
    result = await check_gvisor(machine)
    assert (result.state, result.needed) == (CheckState.OK, False)
