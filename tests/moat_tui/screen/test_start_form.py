"""The start form knows the workspace: what agent.yaml says, profiles, directories half typed."""

from __future__ import annotations

import pytest
from support.screen_home import ago, write_run
from support.waiting import screen_text, wait_for
from textual.widgets import Input, Select

from engine import GrantInfo, Home, RunInfo, RunState
from moat_tui.screen.dialogs.start_run import StartRunDialog


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
