"""One walk through the screen on the real engine: a grant, a run, its requests, its end, its proof."""

from __future__ import annotations

import pytest
from e2e.conftest import CANARY, docker
from support.waiting import screen_text, wait_for
from textual.widgets import Input

from engine import Home, RunRequest
from moat_tui.screen.app import MoatApp
from moat_tui.screen.engine_face import Engine

pytestmark = pytest.mark.docker

AGENT = "while :; do curl -s -o /dev/null https://api.github.com/user; echo asked; sleep 0.2; done"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_grant_a_run_its_requests_and_its_proof(moat, workspace, github, monkeypatch, size):
    for name, value in moat.env.items():
        if name.startswith("MOAT_"):
            monkeypatch.setenv(name, value)
    home = Home(moat.home)
    flags = github.flags()
    # What no field of the form shows comes along, as it does from `moat run` on a terminal.
    wish = RunRequest(
        workspace=str(workspace),
        command=("sh", "-c", AGENT),
        name="not a name",
        image="moat-base:bookworm",
        sandbox=False,
        policy="strict",
        connect_to=tuple(flags[1:4:2]),
        upstream_ca=flags[-1],
    )

    app = MoatApp(Engine(home), home_label=str(home.root), start=wish)
    async with app.run_test(size=size, notifications=True) as pilot:
        # The form opens and says what is wrong; it can wait. First the grant.
        await wait_for(pilot, lambda: "Start a run" in screen_text(pilot), 30)
        assert "not a name for a run" in screen_text(pilot)
        await pilot.press("escape", "a")
        await wait_for(pilot, lambda: "Add a grant" in screen_text(pilot))
        await pilot.press(*"github", "enter")
        await wait_for(pilot, lambda: "Add a grant: GitHub" in screen_text(pilot))
        await wait_for(pilot, lambda: "None in GITHUB_TOKEN" in screen_text(pilot))
        app.screen.query_one("#value", Input).value = CANARY
        await pilot.press("ctrl+o", "ctrl+s")
        await wait_for(pilot, lambda: "github is granted" in screen_text(pilot))
        assert CANARY not in app.export_screenshot()

    app = MoatApp(Engine(home), home_label=str(home.root), start=wish)
    async with app.run_test(size=size, notifications=True) as pilot:
        await wait_for(pilot, lambda: "Start a run" in screen_text(pilot), 30)
        assert "asked" in app.screen.query_one("#command", Input).value  # nothing was lost
        app.screen.query_one("#name", Input).value = "walker"
        app.screen.query_one("#granted").focus()
        await wait_for(pilot, lambda: "[ ] github" in screen_text(pilot))
        await pilot.press("space")
        await wait_for(pilot, lambda: "[x] github" in screen_text(pilot))
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "running" in screen_text(pilot), 60)
        await wait_for(pilot, lambda: "/user" in screen_text(pilot) and " 200 " in screen_text(pilot), 30)
        run = next(run for run in moat.runs() if run["state"] == "running")
        assert run["grants"] == ["github"]

        await pilot.press("1", "o")
        await wait_for(pilot, lambda: screen_text(pilot).count("asked") > 2, 30)
        await pilot.press("escape", "1", "x")
        await wait_for(pilot, lambda: "Stop " in screen_text(pilot))
        await pilot.press("y")
        await wait_for(pilot, lambda: "stopped" in screen_text(pilot), 60)
        await pilot.press("4")
        await wait_for(pilot, lambda: "INTACT" in screen_text(pilot) and "closed" in screen_text(pilot), 30)
        assert CANARY not in app.export_screenshot()
    assert docker("ps", "-aq", "--filter", f"label=moat.run={run['id']}") == ""
    assert moat.json("audit", run["id"])["valid"]
    assert moat.json("grant", "list")[0]["last_used_run"] == run["id"]
