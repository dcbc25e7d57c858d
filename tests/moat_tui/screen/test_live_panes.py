"""The four panes follow real files."""

from __future__ import annotations

import re

import msgspec
import pytest
from support.screen_home import FakeEntry, FakeVerdict, ago, request, write_requests, write_run
from support.waiting import screen_text, wait_for
from textual.widgets import Static

from engine import GrantInfo, GrantState, MoatError, RunInfo, RunState
from moat_tui.screen.panes.audit import AuditPane
from moat_tui.screen.panes.requests import RequestList, RequestsPane
from moat_tui.screen.panes.runs import RunsPane

RUN = RunInfo(
    "run_aaaa1111",
    "review",
    ago(minutes=4),
    RunState.RUNNING,
    workspace="/src/shop",
    command=("claude", "-p", "go"),
    sandbox="gvisor",
    grants=("github",),
)
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])


@SIZES
async def test_a_run_and_its_requests_are_shown(screen, home, size):
    write_run(home, RUN)
    write_requests(
        home, RUN.id, request(1), request(2, decision="denied", rule="strict", status_code=403, grant="")
    )
    async with screen(size) as pilot:
        parts = (
            "review",
            "● running",
            "docker gvisor",
            "4m",
            "api.github.com",
            "403",
            "✓ allowed",
            "✗ denied",
        )
        for part in parts:
            await wait_for(pilot, lambda part=part: part in screen_text(pilot))


@SIZES
async def test_an_empty_home_says_what_to_do_next(screen, size):
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: pilot.app.screen.has_class("-first"))
        await pilot.press("1")
        await wait_for(pilot, lambda: "press s to start one" in screen_text(pilot))
        await pilot.press("3")
        await wait_for(pilot, lambda: "press a to add one" in screen_text(pilot))
        await pilot.press("2")
        await wait_for(pilot, lambda: "Select a run" in screen_text(pilot))


async def test_new_requests_appear_and_are_counted(screen, home):
    write_run(home, RUN)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "No requests yet." in screen_text(pilot))
        write_requests(home, RUN.id, *(request(number) for number in range(1, 4)))
        await wait_for(pilot, lambda: "/pulls/3" in screen_text(pilot))
        await wait_for(
            pilot,
            lambda: any("● running" in row and " 3 " in row for row in screen_text(pilot).splitlines()),
        )


async def test_a_half_written_line_waits_for_its_end(screen, home):
    write_run(home, RUN)
    write_requests(home, RUN.id, request(1))
    line = msgspec.json.encode(request(2)) + b"\n"
    path = home.run(RUN.id) / "network.jsonl"
    async with screen() as pilot:
        await wait_for(pilot, lambda: "/pulls/1" in screen_text(pilot))
        with path.open("ab") as file:
            file.write(line[:40])
        write_run(home, msgspec.structs.replace(RUN, name="renamed"))
        await wait_for(pilot, lambda: "renamed" in screen_text(pilot))
        assert len(pilot.app.screen.query_one(RequestList).store) == 1
        with path.open("ab") as file:
            file.write(line[40:])
        await wait_for(pilot, lambda: "/pulls/2" in screen_text(pilot))


async def test_state_changes_show_and_the_cursor_stays_on_its_run(screen, home):
    old = write_run(home, RUN)
    async with screen() as pilot:
        pane = pilot.app.screen.query_one(RunsPane)
        await wait_for(pilot, lambda: pane.selected == old.id)
        newer = write_run(
            home, msgspec.structs.replace(RUN, id="run_bbbb2222", name="newer", created_at=ago(minutes=1))
        )
        write_run(home, msgspec.structs.replace(old, state=RunState.EXITED, exit_code=3))
        await wait_for(pilot, lambda: "✗ exited 3" in screen_text(pilot) and "newer" in screen_text(pilot))
        assert pane.selected == old.id
        assert pane.table.current_key == old.id
        await pilot.press("k")
        await wait_for(pilot, lambda: pane.selected == newer.id)


async def test_the_other_panes_show_the_selected_run_only(screen, home):
    write_run(home, RUN)
    other = write_run(
        home, msgspec.structs.replace(RUN, id="run_bbbb2222", name="other", created_at=ago(hours=1))
    )
    write_requests(home, RUN.id, request(1))
    write_requests(home, other.id, request(77))
    async with screen() as pilot:
        await wait_for(pilot, lambda: "/pulls/1" in screen_text(pilot))
        await pilot.press("j")
        await wait_for(pilot, lambda: "/pulls/77" in screen_text(pilot))
        assert "/pulls/1 " not in screen_text(pilot)
        write_requests(home, RUN.id, request(5))
        write_requests(home, other.id, request(78))
        await wait_for(pilot, lambda: "/pulls/78" in screen_text(pilot))
        assert "/pulls/5 " not in screen_text(pilot)


async def test_the_asked_for_run_is_selected(screen, home):
    write_run(home, RUN)
    other = write_run(
        home, msgspec.structs.replace(RUN, id="run_bbbb2222", name="other", created_at=ago(hours=1))
    )
    write_requests(home, other.id, request(77))
    async with screen(run_id=other.id) as pilot:
        await wait_for(pilot, lambda: "/pulls/77" in screen_text(pilot))
        table = pilot.app.screen.query_one(RunsPane).table
        await wait_for(pilot, lambda: table.current_key == other.id)


async def test_a_failed_run_tells_why(screen, home):
    write_run(home, msgspec.structs.replace(RUN, state=RunState.FAILED, error="no image [bold]x[/bold]"))
    async with screen() as pilot:
        await wait_for(pilot, lambda: "✗ no image [bold]x[/bold]" in screen_text(pilot))
        await wait_for(pilot, lambda: "✗ failed" in screen_text(pilot))


async def test_corrupt_metadata_is_a_row_not_a_crash(screen, home):
    write_run(home, RUN)
    home.write(home.run("run_cccc3333") / "metadata.json", b"{ not json")
    async with screen() as pilot:
        await wait_for(pilot, lambda: "run_cccc3333" in screen_text(pilot))
        await wait_for(pilot, lambda: "✗ failed" in screen_text(pilot))
        await pilot.press("j")
        await wait_for(pilot, lambda: "This run failed:" in screen_text(pilot))
        # However long the path is, and wherever it is folded.
        await wait_for(pilot, lambda: "metadata.jsoncannotbe" in re.sub(r"[\s│]", "", screen_text(pilot)))


async def test_garbage_in_a_request_log_loses_only_itself(screen, home):
    write_run(home, RUN)
    write_requests(home, RUN.id, request(1))
    with (home.run(RUN.id) / "network.jsonl").open("ab") as file:
        file.write(b"\xff\xfe{]\n" + msgspec.json.encode(request(2)) + b"\n")
    async with screen() as pilot:
        await wait_for(pilot, lambda: "/pulls/1" in screen_text(pilot) and "/pulls/2" in screen_text(pilot))


async def test_a_failing_read_is_said_once_and_recovers(screen, home, face, monkeypatch):
    write_run(home, RUN)
    real, broken = face.runs, MoatError("the disk is on fire", remedy="Put it out.")

    def fails():
        raise broken

    monkeypatch.setattr(face, "runs", fails)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "Put it out." in screen_text(pilot))
        await wait_for(pilot, lambda: "✗ the disk is on fire" in screen_text(pilot))
        monkeypatch.setattr(face, "runs", real)
        await wait_for(pilot, lambda: "● running" in screen_text(pilot))
        await wait_for(
            pilot, lambda: "✗ the disk" not in str(pilot.app.screen.query_one("#title-bar", Static).content)
        )


async def test_grants_show_state_source_and_last_use(screen, home, face):
    write_run(home, RUN)
    face.stored = [
        GrantInfo(
            "github",
            hosts=("api.github.com",),
            source="gh auth token",
            last_used_at=ago(hours=2),
            last_used_run=RUN.id,
        ),
        GrantInfo("openai", state=GrantState.EXPIRING, expires_at=ago(days=-4)),
        GrantInfo("sentry", state=GrantState.EXPIRED, expires_at=ago(days=4)),
        GrantInfo("claude", state=GrantState.STALE, problem="it was refused"),
        GrantInfo("vercel", profile="work", state=GrantState.UNREADABLE, problem="flipped"),
    ]
    async with screen((200, 60)) as pilot:
        await wait_for(pilot, lambda: "vercel (work)" in screen_text(pilot))
        for part in (
            "✓ valid",
            "gh auth token",
            "2h review",
            "! 4d left",
            "✗ expired",
            "✗ stale",
            "✗ unreadable",
            "never",
        ):
            await wait_for(pilot, lambda part=part: part in screen_text(pilot))


async def test_an_intact_chain(screen, home, face):
    write_run(home, RUN)
    face.verdicts[RUN.id] = FakeVerdict(entry_count=2, attestation_count=1, last_hash="ab" * 32)
    face.chains[RUN.id] = [
        FakeEntry(1, ago(minutes=4), "container", {"action": "start"}),
        FakeEntry(2, ago(minutes=3), "console", {"line": "hello \x1b[2J[red]x[/red]"}),
    ]
    async with screen() as pilot:
        await wait_for(pilot, lambda: "✓ INTACT" in screen_text(pilot))
        await wait_for(pilot, lambda: "so far, the run is still writing" in screen_text(pilot))
        await wait_for(pilot, lambda: "hello ␛[2J[red]x[/red]" in screen_text(pilot))


async def test_a_broken_chain_names_its_first_bad_entry(screen, home, face):
    write_run(home, RUN)
    face.verdicts[RUN.id] = FakeVerdict(
        valid=False,
        hash_chain_valid=False,
        entry_count=40,
        broken_at=17,
        expected="aaaa1111",
        found="bbbb2222",
        error="invalid hash at seq 17: entry tampered",
    )
    async with screen() as pilot:
        for part in (
            "✗ TAMPERED",
            "hash at seq 17",
            "First broken entry #17",
            "expected aaaa1111",
            "found    bbbb2222",
        ):
            await wait_for(pilot, lambda part=part: part in screen_text(pilot))
        assert pilot.app.screen.query_one(AuditPane).has_class("tampered")


async def test_a_chain_that_grows_is_verified_again(screen, home, face):
    write_run(home, RUN)
    face.verdicts[RUN.id] = FakeVerdict(entry_count=1)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "1 entry," in screen_text(pilot))
        face.verdicts[RUN.id] = FakeVerdict(entry_count=9, valid=False, broken_at=3, error="entry tampered")
        await wait_for(pilot, lambda: "#3" in screen_text(pilot))


async def test_v_verifies_again(screen, home, face):
    write_run(home, RUN)
    face.verdicts[RUN.id] = FakeVerdict(entry_count=1)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "✓ INTACT" in screen_text(pilot))
        await pilot.press("4")
        await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "audit-entries")
        before = len(face.called("verify"))
        await pilot.press("v")
        await wait_for(pilot, lambda: len(face.called("verify")) > before)


async def test_a_chain_that_cannot_be_read(screen, home, face, monkeypatch):
    write_run(home, RUN)
    face.verdicts[RUN.id] = FakeVerdict()

    def fails(*_):
        raise MoatError("audit.db is not a database")

    monkeypatch.setattr(face, "verify", fails)
    async with screen() as pilot:
        await wait_for(pilot, lambda: "audit.db is not a database" in screen_text(pilot))


@SIZES
async def test_untrusted_text_is_never_markup_nor_obeyed(screen, home, face, size):
    name = "[red]x[/red]\x1b]52;c;aGk=\x07"
    write_run(home, msgspec.structs.replace(RUN, name=name, command=("[@click=app.exit]go[/]", "\u202eevil")))
    write_requests(home, RUN.id, request(1, host="[b]h[/b]\x1b[2J", url="https://[b]h[/b]/[u]p[/u]\u202e"))
    face.stored = [GrantInfo("[i]g[/i]", hosts=("[/]",))]
    async with screen(size) as pilot:
        await wait_for(pilot, lambda: "[red]x[/red]␛" in screen_text(pilot))
        await wait_for(pilot, lambda: "[b]h[/b]␛[2J" in screen_text(pilot))
        await pilot.press("3")
        await wait_for(pilot, lambda: "[i]g[/i]" in screen_text(pilot))
        assert "\x1b" not in screen_text(pilot)
        assert "\u202e" not in screen_text(pilot)


async def test_a_long_file_is_reachable_to_its_first_line(screen, home):
    write_run(home, RUN)
    write_requests(home, RUN.id, *(request(number) for number in range(5_300)))
    async with screen() as pilot:
        pane = pilot.app.screen.query_one(RequestsPane)
        await wait_for(pilot, lambda: "review · 5,300" in screen_text(pilot))
        assert pane.current is not None
        assert pane.current.id == "req_5299"
        await pilot.press("2", "home")
        await wait_for(pilot, lambda: "/pulls/0 " in screen_text(pilot))
        assert pane.current.id == "req_0000"
