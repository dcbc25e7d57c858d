"""Which runtime the demo's agent gets."""

from __future__ import annotations

import pytest

import engine
from moat_tui.demo import choice


@pytest.mark.parametrize(
    ("docker", "bubblewrap", "client", "chosen"),
    [
        (True, True, "curl", "docker"),
        (False, True, "curl", "bubblewrap"),
        (False, True, "", "docker"),  # its image will have one
        (False, False, "curl", "docker"),  # whose absence is then said, with the remedy
    ],
)
def test_docker_where_it_answers_and_a_sandbox_where_one_starts(
    monkeypatch, docker, bubblewrap, client, chosen
):
    async def run_checks(home, only):
        ready = {"docker": docker, "bubblewrap": bubblewrap}
        states = {True: engine.CheckState.OK, False: engine.CheckState.WARN}
        return [engine.CheckResult(name, name, states[ready[name]], "") for name in only]

    monkeypatch.delenv("MOAT_RUNTIME", raising=False)
    monkeypatch.setattr(choice.engine, "run_checks", run_checks, raising=False)
    monkeypatch.setattr(choice, "client", lambda: client)
    assert choice.choose() == chosen
    monkeypatch.setenv("MOAT_RUNTIME", " Bubblewrap ")
    assert choice.choose() == "bubblewrap"


def test_the_client_is_a_program_that_the_sandbox_sees(monkeypatch):
    asked = []
    monkeypatch.setattr(choice.shutil, "which", lambda name, path: asked.append(path) or name == "python3")
    assert choice.client().startswith("python3 -c")
    assert all(part.startswith(("/usr", "/bin")) for path in asked for part in path.split(":"))
