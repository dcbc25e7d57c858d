"""The real thing, read-only: the checks on the machine the suite runs on."""

from __future__ import annotations

import pytest

from engine.doctor import CheckState, Machine, run_checks
from engine.doctor.docker_engine import PROBE_LABEL, connected


async def results(home, *names):
    return {result.name: result for result in await run_checks(home, names)}


@pytest.mark.docker
async def test_docker_and_the_image_are_ready_and_the_probes_leave_nothing(home):
    found = await results(home, "docker", "image", "clock")
    assert found["docker"].state is CheckState.OK, found["docker"]
    assert found["image"].state is not CheckState.FAIL, found["image"]
    assert found["clock"].state is CheckState.OK, found["clock"]
    assert not home.root.exists()


@pytest.mark.gvisor
async def test_a_container_starts_under_gvisor(home):
    found = await results(home, "gvisor")
    assert found["gvisor"].state is CheckState.OK, found["gvisor"]


@pytest.mark.docker
async def test_a_runtime_that_docker_does_not_know_is_told_by_the_real_daemons_words():
    from aiodocker.exceptions import DockerError

    from engine.doctor.docker_engine import run_probe
    from engine.doctor.gvisor import GvisorProblem, classify

    machine = Machine.here()
    async with connected(machine, timeout=20) as docker:
        with pytest.raises(DockerError) as caught:
            await run_probe(docker, machine.base_image, "true", runtime="moat-no-such-runtime")
    assert classify(caught.value.message) is GvisorProblem.NOT_REGISTERED
    assert PROBE_LABEL.startswith("moat.")
