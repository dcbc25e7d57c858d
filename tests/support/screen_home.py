"""A home with runs in it, and a face over it whose actions are recorded instead of done."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from engine import (
    AnchorState,
    Approval,
    AuditCounts,
    AuditPages,
    AwsRole,
    CheckResult,
    GrantInfo,
    Home,
    InstallationAudit,
    LogLine,
    MoatError,
    ProviderInfo,
    RequestRecord,
    RunInfo,
    RunRequest,
    RunState,
    SshKey,
    SshOffer,
    WorkspaceInfo,
    timestamp,
)
from moat_tui.screen.engine_face import Engine, Stamp

NOW = datetime(2026, 1, 12, 14, 30, 0, tzinfo=UTC)


def ago(**delta: float) -> str:
    return timestamp(NOW - timedelta(**delta))


def write_run(home: Home, run: RunInfo) -> RunInfo:
    home.write(home.run(run.id) / "metadata.json", msgspec.json.encode(run))
    return run


def append_lines(path: Path, *lines: msgspec.Struct) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for line in lines:
            file.write(msgspec.json.encode(line) + b"\n")


def write_requests(home: Home, run_id: str, *records: RequestRecord) -> None:
    append_lines(home.run(run_id) / "network.jsonl", *records)


def write_output(home: Home, run_id: str, *lines: LogLine) -> None:
    append_lines(home.run(run_id) / "logs.jsonl", *lines)


def request(number: int, **given: object) -> RequestRecord:
    base = RequestRecord(
        id=f"req_{number:04d}",
        ts=ago(seconds=600 - number),
        method="GET",
        url=f"https://api.github.com/repos/acme/shop/pulls/{number}",
        host="api.github.com",
        status_code=200,
        duration_ms=80 + number,
        grant="github",
    )
    return msgspec.structs.replace(base, **given)


class FakeVerdict(msgspec.Struct, frozen=True):
    """Shaped as `engine.Verdict`."""

    valid: bool = True
    hash_chain_valid: bool = True
    attestations_valid: bool = True
    entry_count: int = 0
    attestation_count: int = 0
    last_hash: str = ""
    error: str = ""
    broken_at: int = 0
    closed: bool = False
    expected: str = ""
    found: str = ""
    cancelled: bool = False
    verdict: str = "TAMPERED"
    doubt: str = ""
    tree_valid: bool | None = None
    checkpoint_count: int = 0
    sealed_to: int = 0


class FakeEntry(msgspec.Struct, frozen=True):
    seq: int
    ts: str
    type: str
    data: dict[str, object]
    prev: str = ""
    hash: str = "9f2c41d07be85a3316ce0f4d7a1b52e8" * 2


class FakeToken(msgspec.Struct, frozen=True):
    value: str
    source: str

    def __repr__(self) -> str:
        return f"FakeToken(source={self.source!r})"


PROVIDERS = (
    ProviderInfo("anthropic", "Anthropic", ("api.anthropic.com",), "x-api-key", ("ANTHROPIC_API_KEY",)),
    ProviderInfo(
        "github",
        "GitHub",
        ("api.github.com", "github.com"),
        "Authorization",
        ("GITHUB_TOKEN", "GH_TOKEN", "gh auth token"),
    ),
    ProviderInfo("openai", "OpenAI", ("api.openai.com", "chatgpt.com"), "Authorization", ("OPENAI_API_KEY",)),
    ProviderInfo("sentry", "Sentry", ("sentry.io", "*.sentry.io"), "Authorization", ("SENTRY_AUTH_TOKEN",)),
)


SSH_KEYS = (
    SshKey("SHA256:kq3Vd0m8Wc1yJr5uXz2Tn7Ae4Bf6Gh9Ii0Ll3Oo5Pp", "ssh-ed25519", "dana@laptop"),
    SshKey("SHA256:Zr8Qs2Ww4Ee6Tt1Yy3Uu5Ii7Oo9Pp0Aa2Ss4Dd6Ffg", "ssh-rsa", "dana@work"),
)
HOST_KEY = SshKey("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", "ssh-ed25519")


class FakeFace(Engine):
    """Reads runs, requests and output from the real files; everything else is given or recorded."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.start_says: list[str] = []
        self.home = home
        self.stored: list[GrantInfo] = []
        self.verdicts: dict[str, FakeVerdict] = {}
        self.chains: dict[str, list[FakeEntry]] = {}
        self.calls: list[tuple[object, ...]] = []
        self.errors: dict[str, list[Exception]] = {}
        self.tokens: dict[str, FakeToken] = {}
        self.account = "octocat"
        self.workspaces: dict[str, WorkspaceInfo] = {}
        self.gate: dict[str, asyncio.Event] = {}
        self.keys: tuple[SshKey, ...] = SSH_KEYS
        self.pinned = True  # whether SSH hosts are in known_hosts
        self.left_out: list[MoatError] = []
        self.checked: list[CheckResult] = []
        self.installation = InstallationAudit(())
        self.anchored: list[AnchorState] = []
        self.fixes: list[str] = []
        self.version = 0

    async def _acts(self, name: str, *arguments: object) -> None:
        self.calls.append((name, *arguments))
        if name in self.gate:
            await self.gate[name].wait()
        if self.errors.get(name):
            raise self.errors[name].pop(0)

    def called(self, name: str) -> list[tuple[object, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]

    def grants(self) -> list[GrantInfo]:
        return list(self.stored)

    def grants_stamp(self) -> Stamp:
        return (self.version, len(self.stored))

    def audit_stamp(self, run_id: str) -> Stamp:
        verdict = self.verdicts.get(run_id)
        return (
            (None, None)
            if verdict is None
            else ((verdict.entry_count, verdict.last_hash, self.version), None)
        )

    def missing_runs(self) -> InstallationAudit:
        return self.installation

    def anchors(self) -> list[AnchorState]:
        return self.anchored

    def verify(
        self, run_id: str, progress: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> FakeVerdict:
        self.calls.append(("verify", run_id))
        verdict = self.verdicts[run_id]
        progress(verdict.entry_count, verdict.entry_count)
        return verdict

    def entries(self, run_id: str, after: int, limit: int) -> list[FakeEntry]:
        return [entry for entry in self.chains.get(run_id, []) if entry.seq > after][:limit]

    def audit_counts(self, run_id: str, after: int) -> AuditCounts:
        types = [entry.type for entry in self.entries(run_id, after, 10**9)]
        return AuditCounts({name: types.count(name) for name in types}, after + len(types))

    def audit_pages(self, run_id: str, types: tuple[str, ...], after: int, size: int) -> AuditPages:
        found = self.audit_page(run_id, types, after, 10**9)
        return AuditPages(tuple(entry.seq for entry in found[::size]), len(found))

    def audit_page(self, run_id: str, types: tuple[str, ...], after: int, limit: int) -> list[FakeEntry]:
        found = self.entries(run_id, after, 10**9)
        return [entry for entry in found if not types or entry.type in types][:limit]

    def audit_newest(self, run_id: str, types: tuple[str, ...], limit: int) -> list[FakeEntry]:
        found = self.entries(run_id, 0, 10**9)
        return [entry for entry in found if not types or entry.type in types][-limit:]

    def audit_place(self, run_id: str, seq: int, types: tuple[str, ...]) -> int:
        return sum(entry.seq < seq for entry in self.audit_page(run_id, types, 0, 10**9))

    async def start(self, request: RunRequest, notice: Callable[[str], None]) -> RunInfo:
        for line in self.start_says:
            notice(line)
        await self._acts("start", request)
        number = len(self.called("start"))
        run = RunInfo(
            id=f"run_started{number}",
            name=request.name or f"started-{number}",
            created_at=ago(seconds=-number),
            state=RunState.RUNNING,
            workspace=request.workspace,
            command=request.command,
            grants=request.grants,
        )
        return write_run(self.home, run)

    async def stop(self, run_id: str, *, kill: bool) -> RunInfo:
        await self._acts("stop", run_id, kill)
        run = next(run for run in self.runs() if run.id == run_id)
        return write_run(self.home, msgspec.structs.replace(run, state=RunState.STOPPED, ended_at=ago()))

    async def watch_approvals(self, run_id: str) -> None:
        await self._acts("watch_approvals", run_id)

    async def answer_approval(self, run_id: str, approval: str, answer: str) -> None:
        await self._acts("answer_approval", run_id, approval, answer)

    def approvals(self, run_id: str) -> list[Approval]:
        return msgspec.json.decode(self.approvals_file(run_id).read_bytes(), type=list[Approval])

    def approvals_file(self, run_id: str) -> Path:
        return self.home.run(run_id) / "approvals.json"

    async def reap(self) -> list[RunInfo]:
        await self._acts("reap")
        return []

    async def destroy(self, run_id: str) -> None:
        await self._acts("destroy", run_id)
        shutil.rmtree(self.home.run(run_id))

    async def rename(self, run_id: str, name: str) -> RunInfo:
        await self._acts("rename", run_id, name)
        return await super().rename(run_id, name)

    async def describe(self, workspace: str) -> WorkspaceInfo:
        return self.workspaces.get(workspace) or await super().describe(workspace)

    async def remember_theme(self, theme: str) -> None:
        await self._acts("remember_theme", theme)

    async def providers(self) -> list[ProviderInfo]:
        await self._acts("providers")
        return [*PROVIDERS, ProviderInfo("aws", "AWS role", ("*.amazonaws.com",), "")]

    async def provider_problems(self) -> list[MoatError]:
        return self.left_out

    async def find_token(self, provider: str) -> FakeToken | None:
        await self._acts("find_token", provider)
        return self.tokens.get(provider)

    async def validate(self, provider: str, token: str) -> str:
        await self._acts("validate", provider, token)
        return self.account

    async def save(
        self, provider: str, token: str, *, source: str, account: str, profile: str = ""
    ) -> GrantInfo:
        await self._acts("save", provider, token, source, account, *([profile] if profile else []))
        known = next(item for item in PROVIDERS if item.name == provider)
        return self._store(
            GrantInfo(provider, profile, title=known.title, hosts=known.hosts, source=source, account=account)
        )

    async def assume(self, role: AwsRole) -> None:
        await self._acts("assume", role)

    async def save_role(self, role: AwsRole, profile: str) -> GrantInfo:
        await self._acts("save_role", role, profile)
        return self._store(GrantInfo("aws", profile, hosts=role.hosts, account=role.arn))

    async def ssh_keys(self) -> tuple[SshKey, ...]:
        await self._acts("ssh_keys")
        return self.keys

    async def find_ssh(self, host: str) -> SshOffer:
        await self._acts("find_ssh", host)
        return SshOffer(host.partition(":")[0], 22, self.keys, self.pinned, (HOST_KEY,), ())

    async def save_ssh(self, offer: SshOffer, key: str, profile: str) -> GrantInfo:
        await self._acts("save_ssh", offer.host, key, profile)
        return self._store(GrantInfo(f"ssh:{offer.host}", profile, hosts=(offer.host,), account=key))

    def _store(self, info: GrantInfo) -> GrantInfo:
        name = (info.provider, info.profile)
        self.stored = [item for item in self.stored if (item.provider, item.profile) != name]
        self.stored.append(info)
        self.version += 1
        return info

    async def revoke(self, provider: str, profile: str) -> bool:
        await self._acts("revoke", provider, profile)
        self.stored = [item for item in self.stored if (item.provider, item.profile) != (provider, profile)]
        return True

    async def checks(self) -> list[CheckResult]:
        await self._acts("checks")
        return list(self.checked)

    async def fix(self, say: Callable[[str], None]) -> list[CheckResult]:
        for line in self.fixes:
            say(line)
        await self._acts("fix")
        return list(self.checked)
