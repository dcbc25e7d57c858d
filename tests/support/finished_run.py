"""A finished run with everything that a dossier is made of, as its supervisor leaves it."""

from __future__ import annotations

import hashlib

import msgspec

from engine.audit import AuditLog, container, credential, policy, secret
from engine.credentials import KeySource
from engine.dossier import write_dossier
from engine.events import LogLine, RequestRecord, RunInfo, RunState, timestamp
from engine.heads import RunHeads
from engine.home import Home
from engine.run.metadata import write_metadata
from engine.run.reading.library import export_bundle, verify_run
from engine.run.records.jsonl import LineFile
from engine.run.records.records import network_entry
from engine.run.workspace.record import WORKSPACE_JSON
from engine.workspace import Look, WorkspaceRecord

HOSTILE = "<script>alert(1)</script>\"'&\x1b]0;title\x07\u202egnp.exe"


class FinishedRun:
    """Its parts can be made to say anything; `page` writes the dossier of what is there then."""

    def __init__(self, home: Home, **facts: object) -> None:
        self.home = home
        told = {"workspace": "/home/me/project", "policy": "strict", "grants": ("github:ro",), **facts}
        self.info = RunInfo(
            id="run_d0551e", name=told.pop("name", "swift-otter"), created_at=timestamp(),
            state=RunState.EXITED, exit_code=0, image="debian", command=("true",), **told,
        )  # fmt: skip
        self.folder = home.ensure_dir(home.run(self.info.id))
        write_metadata(home, self.info)
        self.entries = [
            policy("run", "start", "allow", message="policy strict; grants github:ro"),
            secret("API_KEY", "op"),
            container("started", reason="image debian, sandbox gvisor"),
            credential("github", "inject", "api.github.com"),
        ]

    def request(self, record: RequestRecord) -> None:
        self.append("network.jsonl", record)
        self.entries.append(network_entry(record))

    def printed(self, *lines: str) -> None:
        self.append("logs.jsonl", *(LogLine(timestamp(), line) for line in lines))

    def append(self, name: str, *lines: msgspec.Struct) -> None:
        file = LineFile(self.home, self.folder / name)
        file.append(*lines)
        file.close()

    def record(self, record: WorkspaceRecord, digest: str = "") -> None:
        data = msgspec.json.encode(record)
        self.home.write(self.folder / WORKSPACE_JSON, data)
        digest = digest or hashlib.sha256(data).hexdigest()
        self.entries.append(container("workspace", reason=f"1 added; workspace.json sha256 {digest}"))

    async def close(self) -> None:
        heads = RunHeads(self.home, KeySource(self.home), self.info.id, lambda said: None)
        log = await AuditLog.open(
            self.home, self.folder / "audit.db", keys=heads.begin(), on_checkpoint=heads.tell
        )
        for entry in self.entries:
            await log.note(entry)
        await log.close("exited")
        heads.close()

    @property
    def bundle(self) -> bytes:
        return export_bundle(self.home, self.info.id)

    def page(self) -> str:
        return write_dossier(self.home, self.info, verify_run(self.home, self.info.id))


def looked(**more: object) -> dict[str, object]:
    return {
        "root": "/ws",
        "before": Look("2026-01-01T00:00:00Z"),
        "after": Look("2026-01-01T00:00:01Z"),
    } | more
