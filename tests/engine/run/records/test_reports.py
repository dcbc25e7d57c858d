"""Entries that other processes report: who they are is what the kernel says, and acknowledged is durable."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.run_keys import keys_of

from engine.audit import AuditLog, Signer, read_entries, verify_log
from engine.audit.types import ENTRY_TYPES
from engine.errors import AuditError, RunStateError
from engine.events import ControlReply, ControlRequest
from engine.home import Home
from engine.run.control.control import CONTROL, ask, serve_control
from engine.run.control.socket_peer import SocketPeer, peer_of
from engine.run.records.reports import LONGEST, report, reported, take_report

RUN = "run_0123456789ab"
PEER = SocketPeer(1000, 42)
CLAIM = {"operation": "build image", "decision": "allow", "message": "cached"}

# Reports and prints what was acknowledged, with nothing of ours: any program may do it.
REPORTER = """
import json, socket, sys
for number in range(40):
    with socket.socket(socket.AF_UNIX) as talk:
        talk.connect(sys.argv[1])  # from where it lies: an address holds 108 bytes
        data = {"operation": f"{sys.argv[2]}-{number}", "decision": "allow", "rule": "uid 0 pid 1"}
        talk.sendall(json.dumps({"op": "report", "type": "policy", "data": data}).encode() + b"\\n")
        reply = json.loads(talk.makefile().readline())
    if reply["ok"]:
        print(data["operation"], flush=True)
"""


@pytest.fixture
def signer() -> Signer:
    return Signer(bytes(32))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "h")


@pytest.fixture
def path(home: Home) -> Path:
    return home.run(RUN) / "audit.db"


@pytest.fixture
async def log(home: Home, path: Path, signer: Signer) -> AsyncIterator[AuditLog]:
    async with await AuditLog.open(home, path, keys=keys_of(signer, RUN)) as log:
        taking = functools.partial(take_report, log, lambda text: text.replace("hunter2", "[REDACTED]"))
        async with serve_control(home, RUN, lambda request: ControlReply(ok=False), report=taking):
            yield log


async def test_eight_processes_at_once_make_one_gapless_chain(
    home: Home, path: Path, log: AuditLog, signer: Signer
):
    others = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", REPORTER, CONTROL, str(number),
            cwd=path.parent, stdout=asyncio.subprocess.PIPE,
        )
        for number in range(8)
    ]  # fmt: skip
    async with asyncio.timeout(60):
        told = await asyncio.gather(*(other.communicate() for other in others))
    entries = {entry.seq: entry for entry in read_entries(path)}  # while the run goes on
    assert list(entries) == list(range(1, 321))
    for number, (other, (lines, _)) in enumerate(zip(others, told, strict=True)):
        mine = [entry for entry in entries.values() if entry.data["operation"].startswith(f"{number}-")]
        assert [entry.data["operation"] for entry in mine] == lines.decode().split()
        assert len(mine) == 40
        assert {entry.data["rule"] for entry in mine} == {f"uid {os.geteuid()} pid {other.pid}"}
    await log.close()
    assert verify_log(path, public_key=signer.public_key, finished=True).valid


async def test_who_reports_is_what_the_kernel_says(home: Home, path: Path, log: AuditLog):
    await report(home, RUN, "deploy", "allow", "with hunter2")
    data = {**CLAIM, "scope": "network", "rule": "uid 0 pid 1"}
    assert (await ask(home, RUN, ControlRequest(op="report", type="policy", data=data))).ok
    me = f"uid {os.geteuid()} pid {os.getpid()}"
    assert [(e.data["scope"], e.data["rule"], e.data["message"]) for e in read_entries(path)] == [
        ("report", me, "with [REDACTED]"),
        ("report", me, "cached"),
    ]


async def test_what_is_refused_leaves_no_entry(home: Home, path: Path, log: AuditLog):
    with pytest.raises(RunStateError, match="did not take the report"):
        await report(home, RUN, "x" * (LONGEST + 1), "allow")
    reply = await ask(home, RUN, ControlRequest(op="report", type="credential", data={"name": "github"}))
    assert (reply.ok, reply.error) == (
        False,
        "an entry of type 'credential' is not taken from another process",
    )
    stranger = await take_report(
        log, str, ControlRequest(op="report", type="policy", data=CLAIM), SocketPeer(os.geteuid() + 1, 1)
    )
    assert not stranger.ok
    assert "another user" in stranger.error
    assert read_entries(path) == []


async def test_a_closed_gate_is_answered_as_such(home: Home, log: AuditLog):
    log.closed_because = "the disk is full"
    with pytest.raises(RunStateError, match="cannot be written"):
        await report(home, RUN, "deploy", "allow")


@pytest.mark.parametrize("kind", [*(kind for kind in ENTRY_TYPES if kind != "policy"), "", "polic"])
def test_what_only_the_supervisor_can_know_is_taken_from_nobody(kind: str):
    with pytest.raises(AuditError, match="is not taken"):
        reported(kind, CLAIM, PEER)


@pytest.mark.parametrize(
    "claim", [{}, {"operation": "a"}, {"decision": "a"}, CLAIM | {"more": "x" * (LONGEST + 1)}]
)
def test_claims_that_say_too_little_or_too_much(claim: dict[str, str]):
    with pytest.raises(AuditError):
        reported("policy", claim, PEER)


def test_the_kernel_knows_both_ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_of(ours) == SocketPeer(os.geteuid(), os.getpid())
