"""What goes away under the screen becomes a message, and the screen is right again when it is back."""

from __future__ import annotations

import shutil
import threading

import msgspec
import pytest
from support.real_chain import ChainFace, chain, write_chain
from support.screen_home import ago, request, write_requests, write_run
from support.waiting import screen_text, wait_for

from engine import MoatError, RunInfo, RunState
from engine.run.metadata import SupervisorLock
from moat_tui.screen.panes.runs import RunsPane

RUN = RunInfo("run_aaaa1111", "review", ago(minutes=4), RunState.RUNNING)
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)])


@pytest.fixture
def face(home) -> ChainFace:
    return ChainFace(home)


async def sees(pilot, *parts: str) -> None:
    await wait_for(pilot, lambda: all(part in screen_text(pilot) for part in parts))


@SIZES
async def test_the_home_is_removed_and_made_again(screen, home, size):
    write_run(home, RUN)
    write_requests(home, RUN.id, request(1))
    async with screen(size) as pilot:
        await sees(pilot, "review", "81ms")
        shutil.rmtree(home.root)
        await sees(pilot, "No runs yet")
        write_run(home, msgspec.structs.replace(RUN, id="run_cccc3333", name="second"))
        write_requests(home, "run_cccc3333", request(7))
        await sees(pilot, "second", "87ms")


@SIZES
async def test_a_run_is_destroyed_under_the_view(screen, home, size):
    write_run(home, msgspec.structs.replace(RUN, state=RunState.EXITED, exit_code=0))
    write_run(home, msgspec.structs.replace(RUN, id="run_bbbb2222", name="other", created_at=ago(hours=1)))
    write_chain(home, RUN.id, chain())
    write_requests(home, "run_bbbb2222", request(9))
    async with screen(size) as pilot:
        pane = pilot.app.screen.query_one(RunsPane)
        await wait_for(pilot, lambda: pane.selected == RUN.id)
        shutil.rmtree(home.run(RUN.id))
        await wait_for(pilot, lambda: pane.selected == "run_bbbb2222")
        await sees(pilot, "89ms")
        assert "review" not in screen_text(pilot)


async def test_the_home_cannot_be_read_for_a_while(screen, home):
    write_run(home, RUN)
    async with screen() as pilot:
        await sees(pilot, "review")
        home.root.rename(home.root.with_name("elsewhere"))
        home.root.symlink_to(home.root.with_name("elsewhere"))
        metadata = home.root / "runs" / RUN.id / "metadata.json"
        metadata.write_bytes(msgspec.json.encode(msgspec.structs.replace(RUN, name="renamed")))
        await sees(pilot, "is a symbolic link")
        home.root.unlink()
        home.root.with_name("elsewhere").rename(home.root)
        await sees(pilot, "renamed")
        await wait_for(pilot, lambda: "✗" not in screen_text(pilot).splitlines()[0])


async def test_docker_is_dead_when_a_run_is_stopped(screen, home, face):
    write_run(home, RUN)
    face.errors["stop"] = [
        MoatError("no Docker engine answers at unix:///var/run/docker.sock", remedy="Start the daemon.")
    ]
    async with screen() as pilot:
        await sees(pilot, "● running")
        await pilot.press("x", "y")
        await sees(pilot, "review was not stopped", "no Docker engine", "Start the daemon.")
        await pilot.press("x", "y")
        await wait_for(pilot, lambda: "● running" not in screen_text(pilot))


@SIZES
async def test_the_requests_are_cut_off_and_then_another_file(screen, home, size):
    write_run(home, RUN)
    write_requests(home, RUN.id, *(request(number) for number in range(1, 6)))
    path = home.run(RUN.id) / "network.jsonl"
    async with screen(size) as pilot:
        await sees(pilot, "review", "85ms")
        path.write_bytes(b"")
        await wait_for(pilot, lambda: "85ms" not in screen_text(pilot))
        write_requests(home, RUN.id, request(6))
        await sees(pilot, "86ms")
        other = path.with_name("other.jsonl")
        other.write_bytes(msgspec.json.encode(request(7)) + b"\n" + msgspec.json.encode(request(8)) + b"\n")
        other.replace(path)
        await sees(pilot, "87ms", "88ms")
        assert "86ms" not in screen_text(pilot)


async def test_the_audit_log_cannot_be_read_for_a_while(screen, home, face, monkeypatch):
    """It becomes readable again without any change of the file."""
    write_run(home, msgspec.structs.replace(RUN, state=RunState.EXITED, exit_code=0))
    write_chain(home, RUN.id, chain())
    locked = threading.Event()
    locked.set()
    verify = face.verify

    def refuse(*given):
        if locked.is_set():
            raise MoatError("database is locked")
        return verify(*given)

    monkeypatch.setattr(face, "verify", refuse)
    async with screen((120, 40)) as pilot:
        await sees(pilot, "could not be verified", "database is locked")
        locked.clear()
        await sees(pilot, "INTACT")


async def test_nobody_answers_on_the_control_socket(screen, home, face, monkeypatch):
    """The supervisor is there, as its lock tells, and its socket is gone."""
    write_run(home, RUN)
    lock = SupervisorLock(home, RUN.id)
    async with screen((80, 24)) as pilot:
        await sees(pilot, "● running")
        await pilot.press("n")
        await wait_for(pilot, lambda: pilot.app.focused and pilot.app.focused.id == "new-name")
        pilot.app.focused.value = "better"
        await pilot.press("enter")
        await sees(pilot, "does not answer")
        lock.release()
        write_run(home, msgspec.structs.replace(RUN, state=RunState.INTERRUPTED))
        await pilot.press("enter")
        await sees(pilot, "review is now better.", "! interrupted")


async def test_a_start_without_docker_keeps_the_form_until_it_is_back(screen, home, face, tmp_path):
    write_run(home, msgspec.structs.replace(RUN, workspace=str(tmp_path), command=("true",)))
    face.errors["start"] = [MoatError("no Docker engine answers", remedy="Start the daemon.")]
    async with screen((80, 24)) as pilot:
        await sees(pilot, "● running")
        await pilot.press("r")
        await sees(pilot, "Start a run")
        await pilot.press("ctrl+s")
        await sees(pilot, "✗ no Docker engine answers", "Start the daemon.", "true")
        await pilot.press("ctrl+s")
        await sees(pilot, "started-2")
