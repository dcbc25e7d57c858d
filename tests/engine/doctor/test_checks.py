"""All checks together: in order, side by side, and never hanging."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from engine.doctor import base_image, gvisor, local_checks
from engine.doctor.checks import CHECKS, in_thread, run_checks, within_time
from engine.doctor.docker_engine import EngineProblem, EngineTrouble
from engine.doctor.results import CheckResult, CheckState
from engine.errors import RuntimeFailure, RuntimeUnavailable, UsageError


class Where:
    place, detail, problem = "none", "made later", ""


async def nothing(_home):
    return []


async def test_a_machine_without_docker_gets_every_line(home, machine):
    results = await run_checks(home, machine=machine, find=nothing, locate_key=Where)
    assert [result.name for result in results] == list(CHECKS)
    failed = {result.name for result in results if result.state is CheckState.FAIL}
    assert failed == {"docker", "gvisor", "image"}
    assert all(result.remedy for result in results if result.state is CheckState.FAIL)
    assert not home.root.exists(), "looking makes nothing"


async def test_a_ready_machine_is_all_well(home, machine, engine):
    engine.images |= {machine.base_image: [], machine.tools_image: []}
    engine.info["Runtimes"]["runsc"] = {"path": "runsc"}
    results = await run_checks(home, machine=machine, find=nothing, locate_key=Where)
    assert {result.state for result in results} == {CheckState.OK}


async def test_only_some(home, machine):
    results = await run_checks(home, ["ca", "python"], machine=machine, find=nothing, locate_key=Where)
    assert [result.name for result in results] == ["python", "ca"]
    with pytest.raises(UsageError, match="no such check: pyton"):
        await run_checks(home, ["pyton"], machine=machine)


async def test_leftovers_are_named_with_their_remedy(home, machine):
    async def four(_home):
        return [f"container moat-{n}" for n in range(4)]

    (result,) = await run_checks(home, ["leftovers"], machine=machine, find=four, locate_key=Where)
    assert (result.state, result.needed) == (CheckState.WARN, False)
    assert "moat-0" in result.message
    assert "1 more" in result.message
    assert "moat clean" in result.remedy


async def test_leftovers_without_an_engine_do_not_fail(home, machine):
    async def down(_home):
        raise RuntimeUnavailable("no engine")

    (result,) = await run_checks(home, ["leftovers"], machine=machine, find=down, locate_key=Where)
    assert result.state is CheckState.WARN


async def test_a_hanging_check_becomes_a_failed_line():
    result = await within_time("docker", asyncio.Event().wait, 0.05)  # type: ignore[arg-type]
    assert result.state is CheckState.FAIL
    assert "no answer within" in result.message


@pytest.mark.parametrize("error", [RuntimeFailure("broken", detail="why"), KeyError("bug")])
async def test_a_failing_check_takes_no_other_line_with_it(error):
    async def fail() -> CheckResult:
        raise error

    result = await within_time("ca", fail)
    assert result.state is CheckState.FAIL
    assert "why" in result.message or "KeyError" in result.message


async def test_a_keychain_that_never_answers_keeps_nobody(home, machine):
    release = threading.Event()
    began = time.monotonic()
    result = await within_time("keychain", lambda: in_thread(release.wait), 0.1)  # type: ignore[arg-type]
    assert time.monotonic() - began < 5
    assert result.state is CheckState.FAIL
    release.set()


async def test_a_threads_error_arrives():
    def fail() -> None:
        raise ValueError("from the thread")

    with pytest.raises(ValueError, match="from the thread"):
        await in_thread(fail)


async def test_no_fix_is_promised_for_an_engine_that_moat_does_not_own(home, machine, altered, tmp_path):
    elsewhere = altered(machine, docker_host=f"unix://{tmp_path}/elsewhere.sock", dockerd_args=())
    results = await run_checks(home, machine=elsewhere, find=nothing, locate_key=Where)
    failed = [result for result in results if result.state is CheckState.FAIL]
    assert [result.name for result in failed] == ["docker", "gvisor", "image"]
    assert not any(result.fixable or "--fix" in result.remedy for result in failed)


async def test_a_silent_engine_is_waited_for_once_and_not_as_long_as_a_container(home, machine, monkeypatch):
    asked = []

    async def silent(_machine, *, timeout=10):
        asked.append(timeout)
        raise EngineTrouble(EngineProblem.SILENT, "says nothing")

    for module in (base_image, gvisor, local_checks):
        monkeypatch.setattr(module, "ask_engine", silent)
    results = await run_checks(
        home, ["gvisor", "image", "clock"], machine=machine, find=nothing, locate_key=Where
    )
    assert [result.state for result in results] == [CheckState.FAIL, CheckState.FAIL, CheckState.OK]
    assert max(asked) == 10
