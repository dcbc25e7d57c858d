"""Granting on the screen with the real engine: a real STS, sshd and ssh-agent, and what is on the machine."""

from __future__ import annotations

import json

import pytest
from support.aws import ROLE, Aws
from support.sshd import Agent, Sshd
from support.waiting import screen_text, wait_for
from textual.widgets import Input

from engine import Home, check_aws_role, list_grants
from moat_tui.screen.app import MoatApp
from moat_tui.screen.engine_face import Engine
from moat_tui.screen.main_screen import MainScreen

SIZE = (80, 24)
OWN = b"""\
mycorp:
  title: My Corp
  hosts: [{pattern: api.mycorp.test, header: Authorization, format: "Bearer {token}"}]
  env: {MYCORP_TOKEN: moat-proxy-injected}
  sources: [{env: MYCORP_TOKEN}]
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")
    monkeypatch.setenv("HOME", str(tmp_path))
    return Home(tmp_path / "home")


async def sees(pilot, *texts: str) -> None:
    await wait_for(pilot, lambda: all(text in screen_text(pilot) for text in texts), 30)


def fill(pilot, field: str, value: str) -> None:
    pilot.app.screen.query_one(f"#{field}", Input).value = value


async def test_a_role_is_assumed_once_and_stored(home, tmp_path, monkeypatch):
    aws = Aws(tmp_path)
    (tmp_path / "narrow.json").write_text('{"Statement": []}')
    for name, value in aws.env.items():
        monkeypatch.setenv(name, value)
    try:
        async with MoatApp(Engine(home), home_label="~").run_test(size=SIZE, notifications=True) as pilot:
            await pilot.press("a")
            await sees(pilot, "anthropic", "claude")
            await pilot.press(*"aws", "enter")
            await sees(pilot, "Add a grant: AWS role")
            fill(pilot, "role", ROLE)
            fill(pilot, "session-duration", "30m")
            fill(pilot, "policy", "~/narrow.json")
            aws.refuse = "AccessDenied"
            await pilot.press("ctrl+s")
            await sees(pilot, "✗ AWS refused a session of the role", "The role must trust")
            aws.refuse = ""
            await pilot.press("ctrl+s")
            await sees(pilot, "aws is granted as")
            await sees(pilot, "1 grant")
            await pilot.press("3", "enter")
            await sees(pilot, "1800s", "us-east-1")
        assert aws.assumed[-1]["DurationSeconds"] == "1800"
        assert aws.assumed[-1]["Policy"] == '{"Statement":[]}'
        wanted = check_aws_role(ROLE, session_duration="30m", policy='{"Statement":[]}')
        (stored,) = list_grants(home)
        assert (stored.account, stored.settings["policy"]) == (wanted.arn, wanted.policy)
    finally:
        aws.close()


@pytest.mark.sshd
async def test_a_server_that_nobody_knows_is_agreed_to_and_stored(home, tmp_path, monkeypatch):
    agent = Agent(tmp_path / "a")
    server = Sshd(tmp_path / "sshd", agent.public)
    monkeypatch.setenv("SSH_AUTH_SOCK", agent.env["SSH_AUTH_SOCK"])
    try:
        async with MoatApp(Engine(home), home_label="~").run_test(size=SIZE, notifications=True) as pilot:
            await pilot.press("a")
            await sees(pilot, "anthropic", "claude")
            await pilot.press(*"ssh", "enter")
            await sees(pilot, "Add a grant: SSH host", agent.fingerprint())
            fill(pilot, "host", f"127.0.0.1:{server.port}")
            await pilot.press("ctrl+s")
            await sees(pilot, "127.0.0.1 is not in your known_hosts", "ssh-ed25519")
            await pilot.press("y")
            await sees(pilot, "ssh:127.0.0.1 is granted")
            await sees(pilot, "1 grant")
            await pilot.press("3", "r")
            await sees(pilot, "Replace a grant: SSH host", f"127.0.0.1:{server.port}", agent.fingerprint())
        (stored,) = list_grants(home)
        assert (stored.account, stored.settings["port"]) == (agent.fingerprint(), str(server.port))
        assert stored.settings["host_keys"].startswith("ssh-ed25519 SHA256:")
    finally:
        server.close()
        agent.close()


async def test_what_this_machine_keeps_and_providers_of_one_s_own_are_offered(home, tmp_path, monkeypatch):
    for name in ("NPM_TOKEN", "NPM_CONFIG_USERCONFIG", "CLAUDE_CODE_OAUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MYCORP_TOKEN", "mycorp-value-0123456789")
    (tmp_path / ".npmrc").write_text("//registry.npmjs.org/:_authToken=npm-value-0123456789\n")
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / ".credentials.json").write_text(
        json.dumps({"claudeAiOauth": {"accessToken": "sk-ant-oat01-value-0123456789"}})
    )
    home.write(home.root / "providers" / "mycorp.yaml", OWN)
    home.write(home.root / "providers" / "bad.yaml", b"bad:\n  hots: []\n")
    sources = {
        "npm": ("npm registries", "~/.npmrc"),
        "claude": ("Claude (OAuth token)", "~/.claude/.credentials.json"),
        "mycorp": ("My Corp", "MYCORP_TOKEN"),
    }
    async with MoatApp(Engine(home), home_label="~").run_test(size=SIZE, notifications=True) as pilot:
        for name, (title, source) in sources.items():
            await pilot.press("a")
            await sees(pilot, "anthropic", "left out", "bad.yaml:1")
            await pilot.press(*name, "enter")
            await sees(pilot, f"Add a grant: {title}", f"✓ Found in {source}")
            await pilot.press("ctrl+o", "ctrl+s")
            await sees(pilot, f"{name} is granted")
            await wait_for(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    assert {grant.provider: grant.source for grant in list_grants(home)} == {
        name: source for name, (_, source) in sources.items()
    }
