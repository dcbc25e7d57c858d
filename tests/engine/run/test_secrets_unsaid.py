"""What holds a value does not say it when it is shown."""

from pathlib import Path

import pytest

from engine.config import AgentConfig
from engine.credentials import Credential
from engine.grants import builtin_providers
from engine.run.granted.injections import Granted, injection
from engine.run.request import RunRequest
from engine.run.spec import settle

CANARY = "ghp_canary0123456789012345678901234567"


@pytest.fixture
def things(tmp_path):
    from engine.home import Home

    github = builtin_providers()["github"]
    one = injection(github, Credential(provider="github", token=CANARY, created_at="2026-01-01T00:00:00Z"))
    (tmp_path / "ws").mkdir()
    request = RunRequest(workspace=str(tmp_path / "ws"), command=("x",), env={"TOKEN": CANARY})
    return [one, Granted((github,), (one,)), request, settle(Home(tmp_path / "home"), request)]


def test_no_repr_holds_a_value(things):
    from rich.pretty import pretty_repr

    for thing in things:
        assert CANARY not in repr(thing)
        assert CANARY not in str(thing)
        assert CANARY not in pretty_repr(thing)


def test_the_settled_config_is_the_one_approved_and_run(tmp_path, monkeypatch):
    """The file is read once: swapping it between the question and the start changes nothing."""
    from engine.home import Home
    from engine.run import spec as settling

    reads = []
    real = settling.load_agent_config
    monkeypatch.setattr(settling, "load_agent_config", lambda *a: reads.append(1) or real(*a))
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "agent.yaml").write_text("command: ['true']\ngrants: [github]\n")
    spec = settle(Home(tmp_path / "home"), RunRequest(workspace=str(tmp_path / "ws")))
    (tmp_path / "ws" / "agent.yaml").write_text("command: ['true']\ngrants: [openai]\n")
    assert reads == [1]
    assert isinstance(spec.config, AgentConfig)
    assert spec.grants == spec.config.grants == ("github",)
    assert spec.workspace == Path(tmp_path / "ws")
