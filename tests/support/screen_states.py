"""Every screen and state that has a snapshot, as one table: what is in the home, and what is pressed.

A step is a key, or one of the classes below.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import msgspec
from support.screen_home import FakeFace, FakeVerdict, ago, request, write_run
from support.screen_sample import REVIEW, TAMPERED, sample_face
from support.snapshots import settled
from support.waiting import screen_text, wait_for
from textual.pilot import Pilot
from textual.widgets import Input

from engine import (
    Approval,
    ApprovalNeeded,
    GrantInfo,
    GrantState,
    Home,
    MoatError,
    OpenView,
    RunInfo,
    RunState,
)


class Seen(tuple[str, ...]):
    """All of these words are on the screen."""

    def __new__(cls, *words: str) -> Seen:
        return super().__new__(cls, words)


@dataclass(frozen=True)
class Focused:
    """The widget of this id has the focus."""

    id: str


@dataclass(frozen=True)
class Typed:
    field: str
    value: str


@dataclass(frozen=True)
class NoticesRead:
    """What was announced is taken away: that comes at once or not at all."""


@dataclass(frozen=True)
class Released:
    """A call of the face that was held up goes on."""

    name: str


type Step = str | Seen | Focused | Typed | NoticesRead | Released


@dataclass(frozen=True)
class State:
    """face: what the screen looks at. begin: seen before the first step."""

    face: Callable[[Home], FakeFace]
    begin: Seen
    steps: tuple[Step, ...] = ()
    run_id: str = ""
    read_only: bool = False


async def take(pilot: Pilot[int], steps: tuple[Step, ...]) -> None:
    for step in steps:
        if isinstance(step, Seen):
            await wait_for(pilot, lambda seen=step: all(word in screen_text(pilot) for word in seen))
        elif isinstance(step, Focused):
            await wait_for(
                pilot, lambda at=step: pilot.app.focused is not None and pilot.app.focused.id == at.id
            )
        elif isinstance(step, Typed):
            pilot.app.screen.query_one(f"#{step.field}", Input).value = step.value
        elif isinstance(step, NoticesRead):
            pilot.app.clear_notifications()
        elif isinstance(step, Released):
            await settled(pilot)
            pilot.app.face.gate[step.name].set()
        else:
            await pilot.press(step)


# The homes


def _quiet(home: Home) -> FakeFace:
    """One run, and it did nothing."""
    run = RunInfo("run_aaaa1111", "idle", ago(hours=1), RunState.EXITED, exit_code=0, ended_at=ago(minutes=9))
    write_run(home, run)
    return FakeFace(home)


def loading(home: Home) -> FakeFace:
    """The day's work, and an engine that does not answer yet."""
    face = sample_face(home)
    for name in ("checks", "providers", "start", "validate", "destroy"):
        face.gate[name] = asyncio.Event()
    return face


def _verifying(home: Home) -> FakeFace:
    """The day's work, and a verification that goes on."""
    face = sample_face(home)

    def verify(
        run_id: str, progress: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> FakeVerdict:
        progress(23, 57)
        while not cancelled():
            time.sleep(0.01)
        return FakeVerdict(cancelled=True)

    face.verify = verify  # type: ignore[method-assign]
    return face


def trouble(home: Home) -> FakeFace:
    """Whatever can be wrong is."""
    face = sample_face(home)
    face.stored = [
        *face.stored[:1],
        GrantInfo("github", state=GrantState.UNREADABLE, problem="github.enc cannot be opened"),
        msgspec.structs.replace(face.stored[2], state=GrantState.EXPIRED, expires_at=ago(days=2)),
    ]
    home.write(home.run("run_90ab12cd34ef") / "metadata.json", b"{")
    face.errors = {
        name: [MoatError(f"no Docker engine answers at {SOCKET}", remedy="Start Docker: moat doctor --fix")]
        for name in ("start", "stop", "checks", "destroy")
    }
    face.errors["validate"] = [MoatError("GitHub refuses this token", remedy="Make a new one.")]
    face.errors["assume"] = [
        MoatError(
            f"AWS refused a session of the role {ARN}",
            detail="An error occurred (AccessDenied) when calling the AssumeRole operation: User: "
            f"{ARN} is not authorized to perform: sts:AssumeRole on resource: {ARN}",
            remedy="The role must trust this machine's identity (and its external ID, if it wants one).",
        )
    ]
    face.errors["ssh_keys"] = [
        MoatError(
            "there is no SSH agent here (SSH_AUTH_SOCK is not set)",
            remedy='Start one and add your key: eval "$(ssh-agent)" && ssh-add',
        )
    ]
    face.left_out = [
        MoatError("/home/dana/.moat/providers/mycorp.yaml:3: unknown key hots", remedy="Keys are hosts, env.")
    ]

    def refuse(run_id: str) -> NoReturn:
        raise MoatError(f"the output of {run_id} is a directory", remedy="Move it away.")

    face.output_tail = refuse  # type: ignore[method-assign]
    return face


def _broken(home: Home) -> FakeFace:
    """The chain of a live run is broken too."""
    face = trouble(home)
    face.verdicts[REVIEW] = face.verdicts[TAMPERED]
    return face


def _frozen(home: Home) -> FakeFace:
    """A live run has sent a decoy."""
    face = sample_face(home)
    run = next(run for run in face.runs() if run.id == REVIEW)
    why = f"the decoy ~/.aws/credentials was about to leave, at {ago(seconds=40)}"
    write_run(home, msgspec.structs.replace(run, decoys=True, frozen=why))
    return face


def _waiting(home: Home) -> FakeFace:
    """Two requests of a run wait for an answer; one host looks like another that everybody knows."""
    run = RunInfo("run_aaaa1111", "swift-otter", ago(minutes=4), RunState.RUNNING, policy="ask")
    write_run(home, run)
    face = FakeFace(home)
    since, until = ago(seconds=12), ago(seconds=-48)
    host = "login." + "-".join(["very"] * 12) + ".long.test"
    waiting = [
        Approval(
            "a1", "xn--pple-43d.com", 443, "POST", "/v1/upload", since, until, reads_as="\u0430pple.com"
        ),
        Approval("a2", host, 443, "GET", "/" + "a" * 200, since, until),
    ]
    home.write(face.approvals_file(run.id), msgspec.json.encode(waiting))
    return face


def _open(home: Home) -> FakeFace:
    """The day's work, and an answer that still streams."""
    face = sample_face(home)
    url = "https://api.anthropic.com/v1/messages"
    one = request(580, host="api.anthropic.com", url=url, method="POST", ts=ago(seconds=12), bytes_in=2048)
    view = OpenView(True, (one,))
    face.open_mark = lambda run_id: run_id  # type: ignore[method-assign]
    face.open_requests = lambda run_id: view if run_id == REVIEW else OpenView(True)  # type: ignore[method-assign]
    return face


def _asking(home: Home) -> FakeFace:
    """agent.yaml wants more than was approved."""
    face = sample_face(home)
    face.gate["start"] = asyncio.Event()  # or the form behind is drawn before or after it says so
    face.errors["start"] = [
        ApprovalNeeded(
            "more is asked", asks=("grant github", "mount ~/.npm (read-only)", "policy permissive")
        )
    ]
    return face


ARN = "arn:aws:iam::123456789012:role/agent"
SOCKET = "unix:///var/run/docker.sock"
DAY = Seen("5 runs", "4 grants", "529", "try-image")
TROUBLE = Seen("2 live", "3 grants", "529")


def day(*steps: Step) -> State:
    return State(sample_face, DAY, steps, REVIEW)


AUDIT_LOG: tuple[Step, ...] = ("4", Focused("audit-entries"), "enter", Seen("Audit of review", "   57 "))
CHAINS: tuple[Step, ...] = (*AUDIT_LOG, "c", Focused("audit-chains"), "V", Seen("TAMPERED"))
START: tuple[Step, ...] = ("s", Seen("Start a run", "Workspace"))
OUTPUT: tuple[Step, ...] = ("1", Focused("runs-table"), "o", Seen("17 lines"))
REQUEST: tuple[Step, ...] = ("2", Focused("requests-list"), "enter", Seen("Request headers", "a shows it"))
FILTER: tuple[Step, ...] = (
    "2",
    Focused("requests-list"),
    "slash",
    Focused("requests-filter"),
    Seen("host:github status"),
)
DOCTOR: tuple[Step, ...] = ("D", Seen("Certificate authority", "not ready: gVisor"))
DEPS: tuple[Step, ...] = ("1", Focused("runs-table"), "down", Seen("./agent.sh"))
TRIAGE: tuple[Step, ...] = (*DEPS, "down", Seen("python3 triage.py"))

STATES: dict[str, State] = {
    # The main screen
    "welcome": State(FakeFace, Seen("Welcome to Moat", "0 runs")),
    "welcome-light": State(FakeFace, Seen("Welcome to Moat", "0 runs"), ("ctrl+t",)),
    "main-quiet": State(_quiet, Seen("1 run", "exited 0", "made no requests"), ("2",)),
    "main-live": day("2", Focused("requests-list"), Seen("following")),
    "main-light": day("ctrl+t", "2", Focused("requests-list"), Seen("following")),
    "main-grants": day("3", Focused("grants-table")),
    "main-audit": day("4", Focused("audit-entries"), Seen("INTACT")),
    "main-verifying": State(_verifying, DAY, ("4", Seen("23 of 57")), REVIEW),
    "main-trouble": State(
        _broken, Seen("2 live", "3 grants"), ("2", Seen("CHAIN BROKEN"), NoticesRead()), REVIEW
    ),
    "main-frozen": State(_frozen, Seen("5 runs", "4 grants", "NETWORK FROZEN"), ("2", NoticesRead()), REVIEW),
    "main-read-only": State(sample_face, DAY, ("2",), REVIEW, read_only=True),
    "main-zoomed": day("2", Focused("requests-list"), "z"),
    "main-failed-run": day(
        *TRIAGE, "down", Seen("src/docs"), "down", Seen("debain"), "2", Focused("requests-list")
    ),
    "filter": day(*FILTER, Typed("requests-filter", "grant:github status:200 "), Seen(" of 30")),
    "filter-mistake": day(
        *FILTER,
        Typed("requests-filter", "ms:slow "),
        Seen("needs a number"),
    ),
    "filter-nothing": day(*FILTER, Typed("requests-filter", "nowhere "), Seen("No request matches")),
    "sorted": day("2", Focused("requests-list"), "T", Seen("by took")),
    "all-requests": day("2", Focused("requests-list"), "A", Seen("all runs", "deps-update")),
    "open-request": State(_open, Seen("5 runs", "1 open"), ("2", Focused("requests-list")), REVIEW),
    "approvals": State(_waiting, Seen("2 requests for you", "swift-otter")),
    "approvals-light": State(_waiting, Seen("2 requests for you"), ("ctrl+t",)),
    "approvals-next": State(_waiting, Seen("2 requests for you"), ("j", Seen("▸ GET"))),
    "approvals-later": State(_waiting, Seen("2 requests for you"), ("escape", Seen("2 requests for you: W"))),
    "approvals-read-only": State(_waiting, Seen("2 requests for you", "read-only"), read_only=True),
    "help": day("question_mark", Seen("Output")),
    "palette": day("ctrl+p", Seen("Search for commands"), *"verify", Seen("Verify")),
    # Requests and output
    "request": day(*REQUEST),
    "request-light": day("ctrl+t", *REQUEST),
    "output": day(*OUTPUT),
    "output-light": day("ctrl+t", *OUTPUT),
    "output-search": day(*OUTPUT, "slash", *"test", "enter", Seen("line 15 has")),
    "output-quiet": State(_quiet, Seen("exited 0"), ("o", Seen("printed nothing"))),
    "output-trouble": State(
        trouble,
        TROUBLE,
        (*DEPS, "o", Seen("cannot be read")),
        REVIEW,
    ),
    # Audit
    "audit": day(*AUDIT_LOG),
    "audit-light": day("ctrl+t", *AUDIT_LOG),
    "audit-entry": day(*AUDIT_LOG, "enter", Seen("Audit entry #57")),
    "audit-chains": day(*CHAINS),
    "audit-quiet": State(
        _quiet,
        Seen("exited 0"),
        ("4", Focused("audit-entries"), "enter", Seen("Audit of idle"), Seen("Verify file")),
    ),
    # Doctor
    "doctor": day(*DOCTOR),
    "doctor-light": day("ctrl+t", *DOCTOR),
    "doctor-loading": State(loading, DAY, ("D", Seen("looking at this machine")), REVIEW),
    "doctor-trouble": State(trouble, TROUBLE, ("D", Seen(SOCKET)), REVIEW),
    "doctor-mend": day(*DOCTOR, "F", Seen("Mend this machine?")),
    # Dialogs about runs
    "start": day(*START, Typed("workspace", "/home/dana/src/shop"), Seen("agent.yaml: ")),
    "start-light": day("ctrl+t", *START),
    "start-loading": State(
        loading,
        DAY,
        (*START, Typed("workspace", "/"), Typed("command", "true"), "ctrl+s", Seen("Starting")),
        REVIEW,
    ),
    "start-trouble": State(
        trouble,
        TROUBLE,
        (*START, Typed("workspace", "/"), Typed("command", "true"), "ctrl+s", Seen("no Docker engine")),
        REVIEW,
    ),
    "start-mistake": day(
        *START, Typed("workspace", "/"), Typed("command", "sh -c 'oops"), "ctrl+s", Seen("No closing")
    ),
    "start-approve": State(
        _asking,
        DAY,
        (
            *START,
            Typed("workspace", "/"),
            Typed("command", "true"),
            "ctrl+s",
            Seen("◌ Starting"),
            Released("start"),
            Seen("Allow and start"),
        ),
        REVIEW,
    ),
    "stop": day("1", "x", Seen("Stop review-pr-482?")),
    "stop-trouble": State(
        trouble, TROUBLE, ("1", "x", Seen("Stop review"), "y", Seen("was not stopped")), REVIEW
    ),
    "kill": day("1", "X", Seen("Kill review-pr-482?")),
    "destroy": day(*TRIAGE, "d", Seen("Destroy triage?")),
    "destroying": State(
        loading, DAY, (*TRIAGE, "d", Seen("Destroy triage?"), "y", Seen("Destroying")), REVIEW
    ),
    "rename": day(*TRIAGE, "n", Seen("Rename the run")),
    "leave": day(
        *START,
        Typed("workspace", "/"),
        Typed("command", "true"),
        Typed("name", "fresh"),
        "ctrl+s",
        Seen("6 runs"),
        "q",
        Seen("Leave running"),
    ),
    # Proof bundles
    "export": day(*AUDIT_LOG, "x", Seen("Export the proof")),
    "verify-file": day(*AUDIT_LOG, "f", Seen("proof bundle")),
}
