"""Commands end in time, with their children, and nothing of make's reaches them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.doctor.commands import Finished, environment, run, run_as_root
from engine.errors import RuntimeFailure


async def test_code_and_output(machine, commands):
    commands.add("speak", "echo out; echo err >&2; exit 3")
    finished = await run(machine, [str(commands.directory / "speak")], timeout=10)
    assert finished == Finished(3, "out\n", "err\n")
    assert not finished.ok


async def test_a_command_is_found_on_the_machines_path_not_on_ours(machine, commands):
    commands.add("ls", "echo ours")
    assert (await run(machine, ["ls"], timeout=10)).stdout == "ours\n"
    with pytest.raises(RuntimeFailure, match="could not be started"):
        await run(machine, ["git"], timeout=10)


async def test_one_that_hangs_is_ended_with_its_children(machine, commands, tmp_path):
    pid = tmp_path / "pid"
    commands.add("hang", f"sleep 60 & echo $! > {pid}; wait")
    began = time.monotonic()
    with pytest.raises(RuntimeFailure, match="did not finish within 1 s"):
        await run(machine, [str(commands.directory / "hang")], timeout=1)
    assert time.monotonic() - began < 10
    assert _ends(int(pid.read_text()))


def _ends(pid: int, within: float = 5) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


async def test_input_is_empty(machine, commands):
    commands.add("read", "cat; echo end")
    assert (await run(machine, [str(commands.directory / "read")], timeout=10)).stdout == "end\n"


async def test_root_needs_no_sudo(machine, commands):
    commands.add("sudo")
    commands.add("do-it")
    assert (await run_as_root(machine, ["do-it"], timeout=10)).ok
    assert commands.calls == ["do-it "]


async def test_without_sudo_the_command_to_run_is_named(machine, altered):
    with pytest.raises(RuntimeFailure) as caught:
        await run_as_root(altered(machine, uid=1000), ["touch", "a b"], timeout=10)
    assert "touch 'a b'" in caught.value.remedy


def test_makes_variables_stay_with_make(machine, monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "-j8")
    monkeypatch.setenv("KEPT", "1")
    given = environment(machine, {"EXTRA": "2"})
    assert "MAKEFLAGS" not in given
    assert (given["KEPT"], given["EXTRA"], given["PATH"]) == ("1", "2", machine.path)


def test_the_last_words_are_the_errors():
    said = Finished(1, "", "Reading lists\nE: first\nbuilding\nE: second\nbye\n")
    assert said.last_words == "E: first / E: second"
