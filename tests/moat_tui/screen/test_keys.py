"""Moving about: jump keys, zoom, help, palette, themes."""

from __future__ import annotations

import re

import pytest
from support.screen_home import ago, request, write_requests, write_run
from support.waiting import screen_text, wait_for
from textual.binding import Binding
from textual.command import CommandPalette

from engine import GrantInfo, RunInfo, RunState
from moat_tui.screen import commands
from moat_tui.screen.app import MoatApp
from moat_tui.screen.audit_screen import AuditScreen
from moat_tui.screen.dialogs.add_grant import AddGrantDialog
from moat_tui.screen.dialogs.approve import ApproveDialog
from moat_tui.screen.dialogs.confirm import ConfirmDialog
from moat_tui.screen.dialogs.file_path import FilePathDialog
from moat_tui.screen.dialogs.help import HelpDialog
from moat_tui.screen.dialogs.leave import LeaveDialog
from moat_tui.screen.dialogs.progress import ProgressDialog
from moat_tui.screen.dialogs.rename import RenameDialog
from moat_tui.screen.dialogs.report import ReportDialog, ReportScroll
from moat_tui.screen.dialogs.start_run import StartRunDialog
from moat_tui.screen.doctor_screen import DoctorScreen
from moat_tui.screen.main_screen import MainScreen
from moat_tui.screen.output_screen import OutputScreen
from moat_tui.screen.panes.audit import AuditPane
from moat_tui.screen.panes.grants import GrantsPane
from moat_tui.screen.panes.requests import FilterInput, RequestsPane
from moat_tui.screen.panes.runs import RunsPane
from moat_tui.screen.request_detail import RequestDetail
from moat_tui.screen.widgets.line_view import LineView
from moat_tui.screen.widgets.short_table import ShortTable

RUN = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING)
PLACES = (
    MainScreen,
    RunsPane,
    RequestsPane,
    GrantsPane,
    AuditPane,
    OutputScreen,
    AuditScreen,
    DoctorScreen,
    MoatApp,
    LineView,
    ShortTable,
    FilterInput,
)
WINDOWS = (
    AddGrantDialog,
    ApproveDialog,
    ConfirmDialog,
    FilePathDialog,
    HelpDialog,
    LeaveDialog,
    ProgressDialog,
    RenameDialog,
    ReportDialog,
    ReportScroll,
    RequestDetail,
    StartRunDialog,
)


def own_bindings(place: type) -> list[Binding]:
    return [binding for binding in vars(place).get("BINDINGS", []) if isinstance(binding, Binding)]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_jump_keys(screen, home, face, size):
    write_run(home, RUN)
    write_requests(home, RUN.id, request(1))
    face.stored = [GrantInfo("github")]
    wanted = {"1": "runs-table", "2": "requests-list", "3": "grants-table", "4": "audit-entries"}
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot) and "1 grant" in screen_text(pilot))
        for key in "2341":
            await pilot.press(key)
            await wait_for(pilot, lambda key=key: pilot.app.focused and pilot.app.focused.id == wanted[key])
            assert pilot.app.focused.region.height > 0


async def test_zoom_fills_the_screen_and_stays_on_while_jumping(screen, home):
    write_run(home, RUN)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "review" in screen_text(pilot))
        await pilot.press("2", "z")
        await wait_for(pilot, lambda: pilot.app.screen.query_one("#requests").size.height > 30)
        assert "1 Runs" not in screen_text(pilot)
        await pilot.press("4")
        await wait_for(pilot, lambda: pilot.app.screen.query_one("#audit").size.height > 30)
        await pilot.press("escape")
        await wait_for(pilot, lambda: "1 Runs" in screen_text(pilot))


async def test_narrow_shows_one_pane_under_the_runs_and_names_the_others(screen, home):
    write_run(home, RUN)
    async with screen((80, 24)) as pilot:
        await wait_for(pilot, lambda: "3 Grants   4 Audit" in screen_text(pilot))
        await pilot.press("4")
        await wait_for(pilot, lambda: "2 Requests   3 Grants" in screen_text(pilot))
        await wait_for(pilot, lambda: "1 Runs" in screen_text(pilot))


async def test_footer_greys_out_what_cannot_be_done(screen, home):
    async with screen() as pilot:
        await wait_for(pilot, lambda: "No runs yet" in screen_text(pilot))
        main = pilot.app.screen
        for action in (
            "stop_run",
            "kill_run",
            "open_output",
            "open_request",
            "show_grant",
            "revoke_grant",
            "verify",
        ):
            assert main.check_action(action, ()) is None, action
        assert main.check_action("start_run", ()) is True
        write_run(home, RUN)
        await wait_for(pilot, lambda: main.check_action("stop_run", ()) is True)
        assert main.check_action("verify", ()) is True


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_help_names_the_keys_of_where_you_are(screen, home, size):
    write_run(home, RUN)
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        await pilot.press("question_mark")
        await wait_for(pilot, lambda: "Every run of this home" in screen_text(pilot))
        text = screen_text(pilot)
        assert re.search(r"⏎ o +Output +Open the output of the selected run", text)
        assert "(not now)" in text
        await pilot.press("question_mark", "2")
        await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "requests-list")
        await pilot.press("question_mark")
        await wait_for(pilot, lambda: "What the selected run asked" in screen_text(pilot))
        await pilot.press("escape")
        await wait_for(pilot, lambda: "What the selected run asked" not in screen_text(pilot))
        await pilot.press("1", "o")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, OutputScreen))
        await pilot.press("question_mark")
        await wait_for(pilot, lambda: "What the agent printed" in screen_text(pilot))


async def test_both_themes(screen, home):
    write_run(home, RUN)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "review" in screen_text(pilot))
        assert pilot.app.theme == "moat-dark"
        await pilot.press("ctrl+t")
        assert pilot.app.theme == "moat-light"
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))


@pytest.mark.parametrize("place", PLACES + WINDOWS)
def test_every_binding_can_be_remapped_and_explained(place):
    for binding in own_bindings(place):
        assert binding.id, binding
        assert binding.description, binding
        assert binding.tooltip or not binding.show, binding


def test_binding_ids_are_unique():
    ids = [binding.id for place in PLACES + WINDOWS for binding in own_bindings(place)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("places", "listed"),
    [
        ((MainScreen, RunsPane, RequestsPane, GrantsPane, AuditPane), commands.ON_MAIN),
        ((OutputScreen,), commands.ON_OUTPUT),
        ((AuditScreen,), commands.ON_AUDIT),
        ((DoctorScreen,), commands.ON_DOCTOR),
        ((MoatApp,), commands.EVERYWHERE),
    ],
)
def test_the_palette_has_every_action(places, listed):
    offered = {command.action.partition(".")[2] for command in listed}
    for place in places:
        for binding in own_bindings(place):
            action = binding.action.removeprefix("screen.")
            assert action in offered, f"{place.__name__}: {action}"


async def test_the_palette_runs_an_action(screen):
    async with screen() as pilot:
        await wait_for(pilot, lambda: "No runs yet" in screen_text(pilot))
        await pilot.press("ctrl+p")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
        await wait_for(pilot, lambda: "grant: add" in screen_text(pilot))
        assert "run: stop" not in screen_text(pilot)
        await pilot.press(*"pane: audit")
        await wait_for(pilot, lambda: "Go to the audit chain" in screen_text(pilot))
        await pilot.press("enter")
        await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "audit-entries")


async def test_the_footer_follows_the_focus(screen, home, face):
    write_run(home, RUN)
    write_requests(home, RUN.id, request(1))
    face.stored = [GrantInfo("github")]
    wanted = {"2": "⏎ Detail", "3": "⏎ Show", "4": "⏎", "1": "⏎ Output"}
    async with screen() as pilot:
        await wait_for(pilot, lambda: "● running" in screen_text(pilot) and "1 grant" in screen_text(pilot))
        for key, text in wanted.items():
            await pilot.press(key)
            await wait_for(pilot, lambda text=text: text in screen_text(pilot).splitlines()[-1])


@pytest.mark.parametrize(("down", "up"), [("j", "k"), ("down", "up")])
async def test_vim_keys_and_arrows_move_alike(screen, home, down, up):
    for number in range(12):
        write_run(home, RunInfo(f"run_{number:08x}", f"run-{number}", ago(minutes=number), RunState.EXITED))
    async with screen((80, 24)) as pilot:
        runs = pilot.app.screen.query_one(RunsPane)
        await wait_for(pilot, lambda: runs.current and runs.current.name == "run-0")
        await pilot.press(down, down, up)
        await wait_for(pilot, lambda: runs.current.name == "run-1")
        await pilot.press("G")
        await wait_for(pilot, lambda: runs.current.name == "run-11")
        await pilot.press("g")
        await wait_for(pilot, lambda: runs.current.name == "run-0")
