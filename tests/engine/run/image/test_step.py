"""What a step's shell is given, and what is said while it works."""

from __future__ import annotations

import asyncio
import subprocess
from types import SimpleNamespace

import pytest

from engine.errors import ImageUnavailable
from engine.images import Step
from engine.run.image import step as image_step
from engine.run.image.step import step_input

TRUST = SimpleNamespace(certificate=b"CERT\n", bundle=b"ONE\nTWO\n")
ODD = "a 'b' \"c\" $d `e` \\ \n# f"


def carried_out(script, tmp_path, *, as_agent=False, **env):
    """By this machine's shell, with the files in a directory of the test's."""
    given = step_input(Step("t", script, as_agent=as_agent), TRUST, env)
    (tmp_path / "ca").mkdir()
    given = given.replace(b"/moat/ca/", f"{tmp_path}/ca/".encode())
    return subprocess.run(
        ["/bin/sh", "-s"], input=given, cwd="/", capture_output=True, check=False, timeout=20
    )


def test_the_script_runs_as_it_is_with_its_variables_and_reads_nothing(tmp_path):
    done = carried_out('printf %s "$ODD"; cat; pwd; (exit 3)\necho no', tmp_path, ODD=ODD)
    assert (done.stdout.decode(), done.returncode) == (f"{ODD}/\n", 3)
    assert (tmp_path / "ca" / "ca.crt").read_bytes() == b"CERT\n"
    assert (tmp_path / "ca" / "bundle.crt").read_bytes() == b"ONE\nTWO\n"
    assert (
        tmp_path / "ca" / "apt.conf"
    ).read_text() == f'Acquire::https::CAInfo "{tmp_path}/ca/bundle.crt";\n'


@pytest.mark.parametrize(("home", "place"), [("/usr", "/usr"), ("/nowhere", "/")])
def test_an_agents_step_begins_in_its_home_where_there_is_one(tmp_path, home, place):
    assert carried_out("pwd", tmp_path, as_agent=True, HOME=home).stdout.decode() == f"{place}\n"


async def test_a_long_step_says_that_it_goes_on_and_ends_as_itself(monkeypatch):
    monkeypatch.setattr(image_step, "STILL_AT_IT", 0.01)
    said, enough = [], asyncio.Event()
    log = SimpleNamespace(last_line="compiling")

    def say(line):
        said.append(line)
        enough.set()

    async def work():
        await enough.wait()
        raise ImageUnavailable("it failed")

    with pytest.raises(ImageUnavailable, match="it failed"):
        async with asyncio.timeout(20):
            await image_step._told(work(), "step 1", log, say)
    assert said[0] == "step 1 (0.01 s): compiling"
