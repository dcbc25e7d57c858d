"""A day's work on the screen, on the real engine: first start, grant, run, requests, proof, and out."""

from __future__ import annotations

import msgspec
import pytest
from e2e.conftest import CANARY, docker
from support.connect_relay import connect_relay
from support.github import API
from support.waiting import has_left, screen_text, wait_for
from textual.widgets import Input, Select

from engine import Home
from moat_tui.screen.app import MoatApp
from moat_tui.screen.engine_face import Engine
from moat_tui.screen.main_screen import MainScreen

pytestmark = pytest.mark.docker

AGENT = """\
image: moat-base:bookworm
grants: [github]
command: |
  curl -s -o /dev/null https://api.github.com/echo?first
  while :; do curl -s -o /dev/null https://api.github.com/user; echo asked; sleep 0.2; done
"""


class NearGitHub(Engine):
    """The real engine; its runs reach the GitHub of the tests, which no form can say."""

    def __init__(self, home, github):
        super().__init__(home)
        flags = github.flags()
        self._there = {"connect_to": tuple(flags[1:4:2]), "upstream_ca": flags[-1]}

    async def start(self, request, notice):
        return await super().start(msgspec.structs.replace(request, **self._there), notice)


class Walker:
    """Hands on the keys, eyes on the screen."""

    def __init__(self, pilot):
        self.pilot = pilot

    async def press(self, *keys, sees="", within=20.0):
        await self.pilot.press(*keys)
        await self.sees(sees, within=within)

    async def sees(self, *texts, within=20.0):
        await wait_for(self.pilot, lambda: all(text in screen_text(self.pilot) for text in texts), within)
        assert CANARY not in self.pilot.app.export_screenshot()

    def fill(self, field, value):
        self.pilot.app.screen.query_one(f"#{field}", Input).value = value


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_a_whole_day(moat, workspace, github, monkeypatch, tmp_path, size):
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in moat.env.items():
        if name.startswith("MOAT_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(workspace)
    (workspace / "agent.yaml").write_text(AGENT)
    home = Home(moat.home)
    app = MoatApp(NearGitHub(home, github), home_label=str(home.root))
    async with app.run_test(size=size, notifications=True) as pilot:
        walker = Walker(pilot)
        await walker.sees("Welcome to Moat", "add a grant")
        await add_a_grant(walker, github, monkeypatch)
        run_id = await start_a_run(walker, moat)
        await look_at_requests(walker)
        proof = tmp_path / "proof.json"
        await prove_it(walker, proof)
        assert moat.json("audit", run_id)["valid"]
        assert moat.json("grant", "list")[0]["last_used_run"] == run_id
        await revoke_and_leave(walker, moat)
    assert docker("ps", "-aq", "--filter", f"label=moat.run={run_id}") == ""
    assert moat("audit", "verify", proof).returncode == 0
    assert not moat.files_with(CANARY)
    assert CANARY.encode() not in proof.read_bytes()


async def add_a_grant(walker, github, monkeypatch):
    port = int(github.upstream.connect_to(API).rsplit(":", 1)[1])
    with connect_relay(port) as relay, monkeypatch.context() as near:
        near.setenv("HTTPS_PROXY", relay)
        near.setenv("SSL_CERT_FILE", str(github.ca_file))
        await walker.press("a", sees="Which service?")
        await walker.press(*"github", "enter", sees="None in GITHUB_TOKEN")
        walker.fill("value", "ghp_notTheRightOne")
        await walker.press("ctrl+s", sees="GitHub refused the credential")
        walker.fill("value", CANARY)
        await walker.press("ctrl+s", sees="github is granted as octocat")


async def start_a_run(walker, moat):
    await walker.press("s", sees="[x] github")
    walker.fill("name", "walker")
    walker.pilot.app.screen.query_one("#sandbox", Select).value = "off"
    await walker.press("ctrl+s", sees="asks for more than you have approved")
    await walker.press("y", sees="● running", within=60)
    await walker.sees("/user", " 200 ")
    run = moat.run_named("walker")
    assert run["grants"] == ["github"]
    return run["id"]


async def look_at_requests(walker):
    app = walker.pilot.app
    await walker.press("slash")
    await wait_for(walker.pilot, lambda: app.focused and app.focused.id == "requests-filter")
    await walker.press(*"path:first", "enter", sees="/echo?first")
    await wait_for(walker.pilot, lambda: "/user" not in screen_text(walker.pilot))
    await wait_for(walker.pilot, lambda: app.focused and app.focused.id == "requests-list")
    await walker.press("enter", sees="Request")
    await walker.sees("#")  # its numbers in the log are found
    await wait_for(walker.pilot, lambda: app.screen.check_action("show_audit", ()) is True)
    await walker.press("a", sees="Audit of walker")
    await wait_for(walker.pilot, lambda: app.screen.view.current is not None)
    await walker.press("enter", sees="Audit entry #")
    await walker.sees("/echo?first")
    await walker.press("escape")
    await wait_for(walker.pilot, lambda: hasattr(app.screen, "action_chains"))
    await walker.press("escape")
    await wait_for(walker.pilot, lambda: isinstance(app.screen, MainScreen))
    assert app.focused.id == "requests-list"  # back where it was left
    await walker.press("escape", sees="/user")
    await walker.press("1", "o", sees="asked")
    await walker.press("escape")
    await wait_for(walker.pilot, lambda: isinstance(app.screen, MainScreen))


async def prove_it(walker, proof):
    await walker.press("1", "x", sees="Stop walker?")
    await walker.press("y", sees="■ stopped", within=60)
    await walker.press("4", sees="INTACT")
    await walker.sees("closed", within=30)
    await walker.press("enter", sees="Audit of walker")
    await walker.press("v")
    await walker.press("x", sees="Export the proof of walker")
    walker.fill("path", str(proof))
    await walker.press("enter", sees="Proof bundle written")
    await walker.press("f", sees="Verify a proof bundle")
    walker.fill("path", str(proof))
    await walker.press("enter", sees="Signatures 1 signature")
    await walker.sees("INTACT")
    await walker.press("escape")
    await walker.press("escape")
    await wait_for(walker.pilot, lambda: isinstance(walker.pilot.app.screen, MainScreen))


async def revoke_and_leave(walker, moat):
    await walker.press("3")
    await wait_for(
        walker.pilot, lambda: walker.pilot.app.focused and walker.pilot.app.focused.id == "grants-table"
    )
    await walker.press("d", sees="Revoke github?")
    await walker.press("y", sees="github is revoked")
    assert moat.json("grant", "list") == []
    await walker.pilot.press("q")
    await has_left(walker.pilot)
