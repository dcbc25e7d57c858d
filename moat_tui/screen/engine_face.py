"""The screen's only way to the engine.

Blocking calls that the reader threads make are plain methods; everything that a key press starts is
awaited and does its blocking work on a thread. Modules of the engine are imported on that thread too:
the first `start` of a session must not freeze the screen while Docker's client is being imported.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from moat_tui.screen.file_mark import file_mark

if TYPE_CHECKING:
    from pathlib import Path

    from engine import (
        AnchorState,
        Approval,
        AuditCounts,
        AuditPages,
        AwsRole,
        CheckResult,
        Entry,
        FoundToken,
        GrantInfo,
        GrantUse,
        Home,
        InstallationAudit,
        LogLine,
        MoatError,
        OpenView,
        ProviderInfo,
        RequestRecord,
        RunInfo,
        RunRequest,
        SshKey,
        SshOffer,
        Verdict,
        WorkspaceInfo,
    )

START_TIMEOUT = 300.0  # seconds without a word of a run that is starting: it may pull or make an image
VALIDATE_TIMEOUT = 30.0
ASSUME_TIMEOUT = 60.0  # AWS may be asked twice, and answers slowly
AGENT_TIMEOUT = 20.0  # an SSH agent may ask its person first
HOST_KEYS_TIMEOUT = 60.0  # a server that is in no known_hosts is asked for each type of key

type Stamp = tuple[object, ...]


class Tail[Line](Protocol):
    def read(self, limit: int = 10_000) -> list[Line]: ...
    def last(self, count: int) -> list[Line]: ...


class EngineFace(Protocol):
    """What the screen asks of the engine. Every call may raise MoatError."""

    # Called before the first picture: it may only look at names.
    def is_new(self) -> bool: ...

    # Called on reader threads: these block.
    def runs(self) -> list[RunInfo]: ...
    def request_file(self, run_id: str) -> Path: ...
    def request_tail(self, run_id: str) -> Tail[RequestRecord]: ...
    def open_mark(self, run_id: str) -> object: ...
    def open_requests(self, run_id: str) -> OpenView: ...
    def output_file(self, run_id: str) -> Path: ...
    def output_tail(self, run_id: str) -> Tail[LogLine]: ...
    def grants(self) -> list[GrantInfo]: ...
    def uses(self) -> Mapping[str, Mapping[str, GrantUse]]: ...
    def runs_stamp(self) -> Stamp: ...
    def grants_stamp(self) -> Stamp: ...
    def audit_stamp(self, run_id: str) -> Stamp: ...
    def approvals_stamp(self, run_id: str) -> Stamp: ...
    def approvals(self, run_id: str) -> list[Approval]: ...
    def verify(
        self, run_id: str, progress: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> Verdict: ...
    def missing_runs(self) -> InstallationAudit: ...
    def anchors(self) -> list[AnchorState]: ...
    def entries(self, run_id: str, after: int, limit: int) -> list[Entry]: ...
    def audit_counts(self, run_id: str, after: int) -> AuditCounts: ...
    def audit_pages(self, run_id: str, types: tuple[str, ...], after: int, size: int) -> AuditPages: ...
    def audit_page(self, run_id: str, types: tuple[str, ...], after: int, limit: int) -> list[Entry]: ...
    def audit_newest(self, run_id: str, types: tuple[str, ...], limit: int) -> list[Entry]: ...
    def audit_place(self, run_id: str, seq: int, types: tuple[str, ...]) -> int: ...

    def terminal_command(self, run_id: str, *, attach: bool) -> tuple[list[str], dict[str, str]]: ...

    # Awaited by the screen: these never block its loop.
    async def start(self, request: RunRequest, notice: Callable[[str], None]) -> RunInfo: ...
    async def stop(self, run_id: str, *, kill: bool) -> RunInfo: ...
    async def watch_approvals(self, run_id: str) -> None: ...
    async def answer_approval(self, run_id: str, approval: str, answer: str) -> None: ...
    async def reap(self) -> list[RunInfo]: ...
    async def destroy(self, run_id: str) -> None: ...
    async def rename(self, run_id: str, name: str) -> RunInfo: ...
    async def snapshot(self, run: RunInfo) -> str: ...
    async def describe(self, workspace: str) -> WorkspaceInfo: ...
    async def remember_theme(self, theme: str) -> None: ...
    async def providers(self) -> list[ProviderInfo]: ...
    async def find_token(self, provider: str) -> FoundToken | None: ...
    async def validate(self, provider: str, token: str) -> str: ...
    async def save(
        self, provider: str, token: str, *, source: str, account: str, profile: str = ""
    ) -> GrantInfo: ...
    async def provider_problems(self) -> list[MoatError]: ...
    async def check_profile(self, profile: str) -> None: ...
    async def check_role(self, arn: str, options: Mapping[str, str]) -> AwsRole: ...
    async def read_policy(self, path: Path) -> str: ...
    async def assume(self, role: AwsRole) -> None: ...
    async def save_role(self, role: AwsRole, profile: str) -> GrantInfo: ...
    async def ssh_keys(self) -> tuple[SshKey, ...]: ...
    async def find_ssh(self, host: str) -> SshOffer: ...
    async def save_ssh(self, offer: SshOffer, key: str, profile: str) -> GrantInfo: ...
    async def revoke(self, provider: str, profile: str) -> bool: ...
    async def export(self, run_id: str) -> bytes: ...
    async def dossier(self, run_id: str) -> bytes: ...
    async def verify_file(self, path: Path) -> Verdict: ...
    async def checks(self) -> list[CheckResult]: ...
    async def fix(self, say: Callable[[str], None]) -> list[CheckResult]: ...


class Engine:
    """The real engine over one home."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def is_new(self) -> bool:
        """Neither a run nor a credential is kept here, as far as names tell."""
        return not (_names(self._home.runs) or _names(self._home.credentials))

    def runs(self) -> list[RunInfo]:
        from engine import list_runs

        return list_runs(self._home)

    def request_file(self, run_id: str) -> Path:
        return self._home.run(run_id) / "network.jsonl"

    def request_tail(self, run_id: str) -> Tail[RequestRecord]:
        from engine import RequestTail

        return RequestTail(self._home, run_id)

    def open_mark(self, run_id: str) -> object:
        """Changes when other requests are open, or more of their bytes have passed."""
        return file_mark(self._home.run(run_id) / "open.jsonl")

    def open_requests(self, run_id: str) -> OpenView:
        from engine import read_open

        return read_open(self._home, run_id)

    def output_file(self, run_id: str) -> Path:
        return self._home.run(run_id) / "logs.jsonl"

    def output_tail(self, run_id: str) -> Tail[LogLine]:
        from engine import LogTail

        return LogTail(self._home, run_id)

    def grants(self) -> list[GrantInfo]:
        from engine import list_grants

        return list_grants(self._home, None)

    def uses(self) -> Mapping[str, Mapping[str, GrantUse]]:
        from engine import run_uses

        return run_uses(self._home)

    def runs_stamp(self) -> Stamp:
        """Changes when a run appears, disappears or writes its metadata."""
        return tuple(
            (name, file_mark(self._home.runs / name / "metadata.json")) for name in _names(self._home.runs)
        )

    def grants_stamp(self) -> Stamp:
        """(stored, used): the first changes when a credential is stored or removed in any profile, the
        second when a run has used one."""
        profiles = self._home.credentials / "profiles"
        folders = [self._home.credentials, *(profiles / name for name in _names(profiles))]
        uses = (self._home.runs / name / "usage.json" for name in _names(self._home.runs))
        return (tuple(map(file_mark, folders)), tuple(map(file_mark, uses)))

    def audit_stamp(self, run_id: str) -> Stamp:
        folder = self._home.run(run_id)
        return (file_mark(folder / "audit.db"), file_mark(folder / "audit.db-wal"))

    def approvals_stamp(self, run_id: str) -> Stamp:
        return (file_mark(self._home.run(run_id) / "approvals.json"),)

    def approvals(self, run_id: str) -> list[Approval]:
        from engine import waiting_approvals

        return waiting_approvals(self._home, run_id)

    def missing_runs(self) -> InstallationAudit:
        from engine import missing_runs

        return missing_runs(self._home)

    def anchors(self) -> list[AnchorState]:
        from engine import anchor_states, load_host_config

        audit = load_host_config(self._home).audit
        some = audit.witnesses or audit.timestamps or audit.rekor  # else nothing of it is imported
        return anchor_states(self._home) if some else []

    def verify(
        self, run_id: str, progress: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> Verdict:
        from engine import verify_run

        return verify_run(self._home, run_id, progress, cancelled)

    def entries(self, run_id: str, after: int, limit: int) -> list[Entry]:
        from engine import audit_entries

        return audit_entries(self._home, run_id, after, limit)

    def audit_counts(self, run_id: str, after: int) -> AuditCounts:
        from engine import audit_counts

        return audit_counts(self._home, run_id, after)

    def audit_pages(self, run_id: str, types: tuple[str, ...], after: int, size: int) -> AuditPages:
        from engine import audit_pages

        return audit_pages(self._home, run_id, types, after, size)

    def audit_page(self, run_id: str, types: tuple[str, ...], after: int, limit: int) -> list[Entry]:
        from engine import audit_page

        return audit_page(self._home, run_id, types, after, limit)

    def audit_newest(self, run_id: str, types: tuple[str, ...], limit: int) -> list[Entry]:
        from engine import audit_newest

        return audit_newest(self._home, run_id, types, limit)

    def audit_place(self, run_id: str, seq: int, types: tuple[str, ...]) -> int:
        from engine import audit_place

        return audit_place(self._home, run_id, seq, types)

    def terminal_command(self, run_id: str, *, attach: bool) -> tuple[list[str], dict[str, str]]:
        """The program, and its environment, that joins this terminal to a run: Moat's own command."""
        import sys

        # -P: never import from the working directory, which may be an agent's workspace.
        command = [sys.executable, "-P", "-m", "moat_tui", "attach" if attach else "exec", run_id]
        return command, {**os.environ, "MOAT_HOME": str(self._home.root)}

    async def start(self, request: RunRequest, notice: Callable[[str], None]) -> RunInfo:
        import msgspec

        call = await _loaded("start_detached")
        # Whoever looks at the screen can be asked, before the run and while it goes on, and has a terminal to
        # attach with.
        asked = msgspec.structs.replace(request, person=True, viewer=True, tty=True)
        return cast("RunInfo", await call(self._home, asked, timeout=START_TIMEOUT, notice=notice))

    async def stop(self, run_id: str, *, kill: bool) -> RunInfo:
        call = await _loaded("stop_run")
        return cast("RunInfo", await call(self._home, run_id, kill=kill))

    async def watch_approvals(self, run_id: str) -> None:
        call = await _loaded("watch_approvals")
        await call(self._home, run_id)

    async def answer_approval(self, run_id: str, approval: str, answer: str) -> None:
        call = await _loaded("answer_approval")
        await call(self._home, run_id, approval, answer)

    async def reap(self) -> list[RunInfo]:
        call = await _loaded("reap")
        return cast("list[RunInfo]", await call(self._home))

    async def destroy(self, run_id: str) -> None:
        call = await _loaded("destroy_run")
        await call(self._home, run_id)

    async def rename(self, run_id: str, name: str) -> RunInfo:
        call = await _loaded("rename_run")
        return cast("RunInfo", await call(self._home, run_id, name))

    async def snapshot(self, run: RunInfo) -> str:
        return str((await (await _loaded("make_snapshot"))(self._home, run)).id)

    async def describe(self, workspace: str) -> WorkspaceInfo:
        return cast("WorkspaceInfo", await _threaded("describe_workspace", self._home, workspace))

    async def remember_theme(self, theme: str) -> None:
        await _threaded("save_theme", self._home, theme)

    async def providers(self) -> list[ProviderInfo]:
        return cast("list[ProviderInfo]", await _threaded("list_providers", self._home))

    async def find_token(self, provider: str) -> FoundToken | None:
        return cast("FoundToken | None", await _threaded("find_token", self._home, provider))

    async def validate(self, provider: str, token: str) -> str:
        call = await _loaded("validate_token")
        async with asyncio.timeout(VALIDATE_TIMEOUT):
            return cast("str", await call(self._home, provider, token))

    async def save(
        self, provider: str, token: str, *, source: str, account: str, profile: str = ""
    ) -> GrantInfo:
        info = await _threaded(
            "save_grant", self._home, provider, token, source=source, account=account, profile=profile
        )
        return cast("GrantInfo", info)

    async def provider_problems(self) -> list[MoatError]:
        return list(cast("tuple[MoatError, ...]", await _threaded("provider_problems", self._home)))

    async def check_profile(self, profile: str) -> None:
        await _threaded("check_profile", profile)

    async def check_role(self, arn: str, options: Mapping[str, str]) -> AwsRole:
        """options: of `check_aws_role`, by their names there."""
        return cast("AwsRole", await _threaded("check_aws_role", arn, **options))

    async def read_policy(self, path: Path) -> str:
        return cast("str", await _threaded("read_aws_policy", path))

    async def assume(self, role: AwsRole) -> None:
        call = await _loaded("validate_aws_role")
        async with asyncio.timeout(ASSUME_TIMEOUT):
            await call(role)

    async def save_role(self, role: AwsRole, profile: str) -> GrantInfo:
        return cast("GrantInfo", await _threaded("save_aws_grant", self._home, role, profile))

    async def ssh_keys(self) -> tuple[SshKey, ...]:
        call = await _loaded("ssh_keys")
        async with asyncio.timeout(AGENT_TIMEOUT):
            return cast("tuple[SshKey, ...]", await call())

    async def find_ssh(self, host: str) -> SshOffer:
        call = await _loaded("find_ssh")
        async with asyncio.timeout(HOST_KEYS_TIMEOUT):
            return cast("SshOffer", await call(self._home, host))

    async def save_ssh(self, offer: SshOffer, key: str, profile: str) -> GrantInfo:
        return cast("GrantInfo", await _threaded("save_ssh_grant", self._home, offer, key, profile))

    async def revoke(self, provider: str, profile: str) -> bool:
        return cast("bool", await _threaded("revoke_grant", self._home, provider, profile))

    async def export(self, run_id: str) -> bytes:
        return cast("bytes", await _threaded("export_bundle", self._home, run_id))

    async def dossier(self, run_id: str) -> bytes:
        return cast("bytes", await _threaded("verified_dossier", self._home, run_id))

    async def verify_file(self, path: Path) -> Verdict:
        return cast("Verdict", await _threaded("verify_bundle_file", self._home, path))

    async def checks(self) -> list[CheckResult]:
        call = await _loaded("run_checks")
        return cast("list[CheckResult]", await call(self._home))

    async def fix(self, say: Callable[[str], None]) -> list[CheckResult]:
        call = await _loaded("fix_machine")
        return cast("list[CheckResult]", await call(self._home, say))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


async def _loaded(name: str) -> Callable[..., Awaitable[Any]]:
    """A name of `engine`, its module imported on a thread."""
    import engine

    return cast("Callable[..., Awaitable[Any]]", await asyncio.to_thread(getattr, engine, name))


async def _threaded(name: str, *arguments: object, **options: object) -> object:
    """Call a blocking name of `engine` on a thread."""

    def call() -> object:
        import engine

        return getattr(engine, name)(*arguments, **options)

    return await asyncio.to_thread(call)
