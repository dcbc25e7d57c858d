"""Audit entries that another process of the user reports to a run, over its control socket.

What it did is its word; who it is, is the kernel's: uid and pid stand in the entry as the supervisor read
them from the socket. What only the supervisor can know (a use of a credential, a signature, a secret, a
request) is taken from nobody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from engine.audit import AuditLog, EntryData, policy
from engine.errors import AuditError, AuditGateClosed, RunStateError
from engine.events import ControlReply, ControlRequest
from engine.home import Home
from engine.run.control.control import ask
from engine.run.control.socket_peer import SocketPeer

REPORTABLE = ("policy",)
SCOPE = "report"
LONGEST = 4096  # characters of one field
_CLAIMED = ("operation", "decision", "message")
_TIMEOUT = 60.0  # seconds until the disk, and the supervisor, count as stuck


async def take_report(
    log: AuditLog, mask: Callable[[str], str], request: ControlRequest, peer: SocketPeer
) -> ControlReply:
    """The supervisor's answer, when the entry is durable; `mask` blots out what no entry may hold."""
    try:
        if peer.uid != os.geteuid():
            raise AuditError(f"reports of another user (uid {peer.uid}) are not taken")
        await log.append(reported(request.type, request.data, peer, mask))
    except AuditGateClosed as error:
        return ControlReply(ok=False, error=error.what, detail=error.detail, remedy=error.remedy)
    except AuditError as error:
        return ControlReply(ok=False, error=error.what)
    return ControlReply(ok=True)


def reported(
    kind: str, claim: Mapping[str, str], peer: SocketPeer, mask: Callable[[str], str] = str
) -> EntryData:
    """The entry that is written for what a peer claims. Raises AuditError for what is not taken.

    scope and rule say that it was reported, and by whom, whatever the claim says there.
    """
    if kind not in REPORTABLE:
        raise AuditError(f"an entry of type {kind!r} is not taken from another process")
    if any(len(value) > LONGEST for value in claim.values()):
        raise AuditError(f"a reported entry has at most {LONGEST} characters in a field")
    operation, decision, message = (mask(claim.get(name, "")) for name in _CLAIMED)
    if not operation or not decision:
        raise AuditError("a reported entry says an operation and a decision")
    return policy(SCOPE, operation, decision, rule=f"uid {peer.uid} pid {peer.pid}", message=message)


async def report(home: Home, run_id: str, operation: str, decision: str, message: str = "") -> None:
    """Have an entry written to a live run's log; returns when it is durable. Raises RunStateError."""
    claim = {"operation": operation, "decision": decision, "message": message}
    request = ControlRequest(op="report", type="policy", data=claim)
    reply = await ask(home, run_id, request, _TIMEOUT)
    if not reply.ok:
        raise RunStateError(f"run {run_id} did not take the report", detail=reply.error, remedy=reply.remedy)
