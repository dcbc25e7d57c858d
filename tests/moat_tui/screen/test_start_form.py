"""The start form knows the workspace: what agent.yaml says, profiles, directories half typed."""

from __future__ import annotations

import asyncio

import pytest
from support.screen_home import ago, write_run
from support.waiting import screen_text, wait_for
from textual.widgets import Input, Select

from engine import GrantInfo, Home, RunInfo, RunState
from moat_tui.screen.dialogs.start_run import StartRunDialog
from moat_tui.screen.settings import Settings


@pytest.fixture
def home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("home"))


async def open_form(pilot, workspace) -> StartRunDialog:
    await pilot.press("s")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, StartRunDialog))
    await wait_for(pilot, lambda: "Workspace" in screen_text(pilot))
    pilot.app.screen.query_one("#workspace", Input).value = str(workspace)
    return pilot.app.screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_agent_yaml_says_is_shown_and_mistakes_in_it_too(screen, tmp_path, size):
    (tmp_path / "agent.yaml").write_text("command: npm test\nnetwork: {policy: strict}\n")
    async with screen(size) as pilot:
        form = await open_form(pilot, tmp_path)
        await wait_for(pilot, lambda: "agent.yaml: sh -c 'npm test'" in screen_text(pilot))
        (tmp_path / "agent.yaml").write_text("nmae: x\n")
        form.query_one("#workspace", Input).value = f"{tmp_path}/"
        await wait_for(pilot, lambda: "agent.yaml:1: unknown key" in " ".join(screen_text(pilot).split()))
        form.query_one("#workspace", Input).value = "/no/such"
        await wait_for(pilot, lambda: "/no/such" in screen_text(pilot) and "✗" in screen_text(pilot))


async def test_a_profile_has_its_own_grants(screen, face, tmp_path):
    face.stored = [GrantInfo("github"), GrantInfo("openai", "work")]
    async with screen() as pilot:
        await wait_for(pilot, lambda: "2 grants" in screen_text(pilot))
        form = await open_form(pilot, tmp_path)
        await wait_for(pilot, lambda: "[ ] github" in screen_text(pilot))
        form.query_one("#profile", Select).value = "work"
        await wait_for(pilot, lambda: "[ ] openai" in screen_text(pilot))
        assert "[ ] github" not in screen_text(pilot)
        form.query_one("#granted").focus()
        await pilot.press("space", "ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 1)
        asked = face.called("start")[0][0]
        assert (asked.profile, asked.grants) == ("work", ("openai",))


async def test_a_provider_is_given_whole_or_as_a_scope(screen, face, tmp_path):
    face.stored = [GrantInfo("github", scopes=("ro",))]
    async with screen() as pilot:
        await wait_for(pilot, lambda: "1 grant" in screen_text(pilot))
        form = await open_form(pilot, tmp_path)
        await wait_for(pilot, lambda: "[ ] github:ro" in screen_text(pilot))
        form.query_one("#granted").focus()
        await pilot.press("space", "down", "space", "ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 1)
        assert face.called("start")[0][0].grants == ("github:ro",)


async def test_the_right_arrow_takes_a_directory_used_before(screen, home, tmp_path):
    write_run(home, RunInfo("run_1", "a", ago(minutes=1), RunState.EXITED, workspace=str(tmp_path)))
    async with screen() as pilot:
        await wait_for(pilot, lambda: "✓ exited" in screen_text(pilot))
        form = await open_form(pilot, str(tmp_path)[:-3])
        box = form.query_one("#workspace", Input)
        box.focus()
        box.action_end()
        await wait_for(pilot, lambda: box._suggestion == str(tmp_path))
        await pilot.press("right")
        assert box.value == str(tmp_path)


async def test_the_runtime_can_be_chosen(screen, face, tmp_path):
    async with screen() as pilot:
        form = await open_form(pilot, tmp_path)
        form.query_one("#runtime", Select).value = "docker"
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 1)
        assert face.called("start")[0][0].runtime == "docker"


@pytest.mark.parametrize(
    ("configured", "again", "keys", "wish"),
    [
        (False, None, (), None),
        (False, None, ("space",), True),
        (True, None, (), True),
        (True, None, ("space",), False),
        (False, True, (), True),  # "start again" keeps them
    ],
)
async def test_decoys_can_be_ticked(screen, home, face, tmp_path, configured, again, keys, wish):
    run = RunInfo("run_1", "a", ago(minutes=1), RunState.EXITED, workspace=str(tmp_path), decoys=bool(again))
    write_run(home, run)
    async with screen((80, 24), settings=Settings(decoys=configured)) as pilot:
        await wait_for(pilot, lambda: "✓ exited" in screen_text(pilot))
        await pilot.press("r")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, StartRunDialog))
        await wait_for(pilot, lambda: bool(pilot.app.screen.query("#decoys")))
        pilot.app.screen.query_one("#decoys").focus()
        await wait_for(pilot, lambda: "fake keys; one that leaves" in screen_text(pilot))
        await pilot.press(*keys, "ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 1)
        assert face.called("start")[0][0].decoys is wish


async def test_what_agent_yaml_asks_for_can_be_unticked_and_overridden(screen, face, tmp_path):
    (tmp_path / "agent.yaml").write_text(
        "command: npm test\ngrants: [github, linear]\nsandbox: none\nnetwork: {policy: strict}\n"
    )
    face.stored = [GrantInfo("github")]
    async with screen((80, 24)) as pilot:
        await wait_for(pilot, lambda: "1 grant" in screen_text(pilot))
        form = await open_form(pilot, tmp_path)
        await wait_for(pilot, lambda: "[x] github           ✓ valid" in screen_text(pilot))
        await wait_for(pilot, lambda: "[x] linear           ✗ not stored" in screen_text(pilot))
        form.query_one("#granted").focus()
        await pilot.press("down", "space")
        await wait_for(pilot, lambda: "[ ] linear" in screen_text(pilot))
        form.query_one("#command", Input).value = "npm run lint"
        form.query_one("#policy", Select).value = "permissive"
        form.query_one("#sandbox", Select).value = "on"
        form.query_one("#hosts", Input).value = "pypi.org"
        form.query_one("#mounts", Input).value = "src:/data:ro"
        form.query_one("#variables", Input).value = "NO_SUCH_VARIABLE_HERE"
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "has no value" in screen_text(pilot))
        assert pilot.app.focused.id == "variables"
        form.query_one("#variables", Input).value = "DEBUG=1"
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 1)
        asked = face.called("start")[0][0]
        assert (asked.grants, asked.without_grants) == (("github",), ("linear",))
        assert (asked.command, asked.policy, asked.sandbox) == (("npm", "run", "lint"), "permissive", True)
        assert (asked.allow_hosts, asked.mounts, asked.env) == (
            ("pypi.org",),
            ("src:/data:ro",),
            {"DEBUG": "1"},
        )


async def test_a_start_can_be_cancelled_and_tried_again(screen, face, tmp_path):
    face.gate["start"] = asyncio.Event()
    face.start_says = ["making the image, step 1 of 2: packages \x1bjq"]
    async with screen((80, 24)) as pilot:
        await open_form(pilot, tmp_path)
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "◌ making the image, step 1 of 2: packages ␛jq" in screen_text(pilot))
        await pilot.press("escape")
        await wait_for(pilot, lambda: "Not started: it was cancelled." in screen_text(pilot))
        face.gate["start"].set()
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "started-2" in screen_text(pilot))


async def test_again_shows_what_was_asked_but_no_value(screen, home, face, tmp_path):
    write_run(
        home,
        RunInfo(
            "run_1", "a", ago(minutes=1), RunState.EXITED, workspace=str(tmp_path), exit_code=0,
            env=("NO_SUCH_VARIABLE_HERE",), mounts=("a:/b",), allow_hosts=("x.test",),
            connect_to=("x.test:443:127.0.0.1:1",),
        ),
    )  # fmt: skip
    async with screen((120, 40)) as pilot:
        await wait_for(pilot, lambda: "✓ exited" in screen_text(pilot))
        await pilot.press("r")
        await wait_for(pilot, lambda: "write NAME=VALUE for NO_SUCH_VARIABLE_HERE" in screen_text(pilot))
        form = pilot.app.screen
        form.query_one("#variables", Input).value += "=7"
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: len(face.called("start")) == 1)
        asked = face.called("start")[0][0]
        assert (asked.mounts, asked.allow_hosts) == (("a:/b",), ("x.test",))
        assert (asked.env, asked.connect_to) == ({"NO_SUCH_VARIABLE_HERE": "7"}, ("x.test:443:127.0.0.1:1",))
