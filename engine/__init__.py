"""Moat's engine: everything but the faces. What is exported here is all that a face may use.

Names load on first use, so that a command which only reads files never pays for Docker's or the
proxy's libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import exports

if TYPE_CHECKING:
    from engine.anchors.evidence import parse_pins as parse_pins
    from engine.anchors.head import Anchored as Anchored
    from engine.anchors.service import AnchorState as AnchorState
    from engine.anchors.service import anchor_states as anchor_states
    from engine.anchors.service import open_witness as open_witness
    from engine.anchors.service import push_heads as push_heads
    from engine.anchors.service import submission_key as submission_key
    from engine.anchors.witness_server import serve_witness as serve_witness
    from engine.anchors.witness_state import WitnessState as WitnessState
    from engine.audit import AuditCounts as AuditCounts
    from engine.audit import AuditPages as AuditPages
    from engine.audit import Entry as Entry
    from engine.audit import Verdict as Verdict
    from engine.audit import read_pin as read_pin
    from engine.audit import render_verdict as render_verdict
    from engine.audit import verdict_json as verdict_json
    from engine.aws import AwsRole as AwsRole
    from engine.aws import check_aws_role as check_aws_role
    from engine.aws import read_aws_policy as read_aws_policy
    from engine.config.grant_limits import GrantWish as GrantWish
    from engine.config.grant_limits import parse_grant as parse_grant
    from engine.config.host import HostConfig as HostConfig
    from engine.config.host import load_host_config as load_host_config
    from engine.config.host import save_theme as save_theme
    from engine.config.secret_reference import parse_secret_pair as parse_secret_pair
    from engine.credentials import check_profile as check_profile
    from engine.doctor import CheckResult as CheckResult
    from engine.doctor import CheckState as CheckState
    from engine.doctor import fix_machine as fix_machine
    from engine.doctor import run_checks as run_checks
    from engine.dossier import verified_dossier as verified_dossier
    from engine.dossier import write_dossier as write_dossier
    from engine.errors import ApprovalNeeded as ApprovalNeeded
    from engine.errors import MoatError as MoatError
    from engine.errors import RunNotFound as RunNotFound
    from engine.errors import UsageError as UsageError
    from engine.events import Approval as Approval
    from engine.events import GrantInfo as GrantInfo
    from engine.events import GrantState as GrantState
    from engine.events import GrantUse as GrantUse
    from engine.events import LogLine as LogLine
    from engine.events import ProviderInfo as ProviderInfo
    from engine.events import PublishedPort as PublishedPort
    from engine.events import RequestRecord as RequestRecord
    from engine.events import RunInfo as RunInfo
    from engine.events import RunState as RunState
    from engine.events import VolumeInfo as VolumeInfo
    from engine.events import grant_provider as grant_provider
    from engine.events import timestamp as timestamp
    from engine.granting import find_ssh as find_ssh
    from engine.granting import find_token as find_token
    from engine.granting import list_grants as list_grants
    from engine.granting import list_providers as list_providers
    from engine.granting import provider_problems as provider_problems
    from engine.granting import revoke_grant as revoke_grant
    from engine.granting import save_aws_grant as save_aws_grant
    from engine.granting import save_grant as save_grant
    from engine.granting import save_ssh_grant as save_ssh_grant
    from engine.granting import ssh_keys as ssh_keys
    from engine.granting import validate_aws_role as validate_aws_role
    from engine.granting import validate_token as validate_token
    from engine.grants import FoundToken as FoundToken
    from engine.home import Home as Home
    from engine.loop import run_in_loop as run_in_loop
    from engine.proxy.replay import Change as Change
    from engine.proxy.suggest import Suggestion as Suggestion
    from engine.run.control.approvals import answer_approval as answer_approval
    from engine.run.control.approvals import waiting_approvals as waiting_approvals
    from engine.run.control.approvals import watch_approvals as watch_approvals
    from engine.run.control.rename import rename_run as rename_run
    from engine.run.lifecycle import clean as clean
    from engine.run.lifecycle import destroy_run as destroy_run
    from engine.run.lifecycle import reap as reap
    from engine.run.lifecycle import run_attached as run_attached
    from engine.run.lifecycle import start_detached as start_detached
    from engine.run.lifecycle import stop_run as stop_run
    from engine.run.reading.audit_view import audit_counts as audit_counts
    from engine.run.reading.audit_view import audit_newest as audit_newest
    from engine.run.reading.audit_view import audit_page as audit_page
    from engine.run.reading.audit_view import audit_pages as audit_pages
    from engine.run.reading.audit_view import audit_place as audit_place
    from engine.run.reading.audit_view import prove_entries as prove_entries
    from engine.run.reading.audit_view import standalone_verifier as standalone_verifier
    from engine.run.reading.audit_view import verify_bundle as verify_bundle
    from engine.run.reading.audit_view import verify_bundle_file as verify_bundle_file
    from engine.run.reading.evidence import Replay as Replay
    from engine.run.reading.evidence import replay_policy as replay_policy
    from engine.run.reading.evidence import suggest_policy as suggest_policy
    from engine.run.reading.installation import InstallationAudit as InstallationAudit
    from engine.run.reading.installation import RunAudit as RunAudit
    from engine.run.reading.installation import audit_installation as audit_installation
    from engine.run.reading.installation import missing_runs as missing_runs
    from engine.run.reading.library import audit_entries as audit_entries
    from engine.run.reading.library import export_bundle as export_bundle
    from engine.run.reading.library import find_run as find_run
    from engine.run.reading.library import list_runs as list_runs
    from engine.run.reading.library import verify_run as verify_run
    from engine.run.reading.tail import LogTail as LogTail
    from engine.run.reading.tail import RequestTail as RequestTail
    from engine.run.reading.uses import run_uses as run_uses
    from engine.run.records.open_file import OpenView as OpenView
    from engine.run.records.open_file import read_open as read_open
    from engine.run.request import RunRequest as RunRequest
    from engine.run.terminals.joining import attach_run as attach_run
    from engine.run.terminals.joining import exec_in_run as exec_in_run
    from engine.run.terminals.terminal import AgentIO as AgentIO
    from engine.run.workspace.describe import WorkspaceInfo as WorkspaceInfo
    from engine.run.workspace.describe import describe_workspace as describe_workspace
    from engine.run.workspace.snapshots import Restoration as Restoration
    from engine.run.workspace.snapshots import list_snapshots as list_snapshots
    from engine.run.workspace.snapshots import make_snapshot as make_snapshot
    from engine.run.workspace.snapshots import remove_snapshot as remove_snapshot
    from engine.run.workspace.snapshots import restore_snapshot as restore_snapshot
    from engine.run.workspace.volumes import list_volumes as list_volumes
    from engine.run.workspace.volumes import remove_volume as remove_volume
    from engine.run.workspace.worktree import Cleaned as Cleaned
    from engine.run.workspace.worktree import clean_worktrees as clean_worktrees
    from engine.run.workspace.worktree import fetch_worktrees as fetch_worktrees
    from engine.run.workspace.worktree import list_worktrees as list_worktrees
    from engine.ssh_agent import SshKey as SshKey
    from engine.ssh_agent import SshOffer as SshOffer
    from engine.workspace.record import LeftOut as LeftOut
    from engine.workspace.snapshots.info import SnapshotInfo as SnapshotInfo
    from engine.worktrees.fetching import Fetched as Fetched
    from engine.worktrees.state import WorktreeState as WorktreeState

_HOMES = {
    "engine.anchors.evidence": ("parse_pins",),
    "engine.anchors.head": ("Anchored",),
    "engine.anchors.service": (
        "AnchorState", "anchor_states", "open_witness", "push_heads", "submission_key",
    ),
    "engine.anchors.witness_server": ("serve_witness",),
    "engine.anchors.witness_state": ("WitnessState",),
    "engine.audit": (
        "AuditCounts", "AuditPages", "Entry", "Verdict", "read_pin", "render_verdict", "verdict_json",
    ),
    "engine.aws": ("AwsRole", "check_aws_role", "read_aws_policy"),
    "engine.config.grant_limits": ("GrantWish", "parse_grant"),
    "engine.config.host": ("HostConfig", "load_host_config", "save_theme"),
    "engine.config.secret_reference": ("parse_secret_pair",),
    "engine.credentials": ("check_profile",),
    "engine.doctor": ("CheckResult", "CheckState", "fix_machine", "run_checks"),
    "engine.dossier": ("verified_dossier", "write_dossier"),
    "engine.errors": ("ApprovalNeeded", "MoatError", "RunNotFound", "UsageError"),
    "engine.events": (
        "Approval", "GrantInfo", "GrantState", "GrantUse",
        "LogLine", "ProviderInfo", "PublishedPort", "RequestRecord", "RunInfo", "RunState", "VolumeInfo",
        "grant_provider", "timestamp",
    ),
    "engine.granting": (
        "find_ssh", "find_token", "list_grants", "list_providers", "provider_problems", "revoke_grant",
        "save_aws_grant", "save_grant", "save_ssh_grant", "ssh_keys", "validate_aws_role",
        "validate_token",
    ),
    "engine.grants": ("FoundToken",),
    "engine.home": ("Home",),
    "engine.run.control.approvals": ("answer_approval", "waiting_approvals", "watch_approvals"),
    "engine.run.reading.audit_view": (
        "audit_counts", "audit_newest", "audit_page", "audit_pages", "audit_place", "prove_entries",
        "standalone_verifier", "verify_bundle", "verify_bundle_file",
    ),
    "engine.run.reading.installation": (
        "InstallationAudit", "RunAudit", "audit_installation", "missing_runs",
    ),
    "engine.run.terminals.joining": ("attach_run", "exec_in_run"),
    "engine.proxy.replay": ("Change",),
    "engine.proxy.suggest": ("Suggestion",),
    "engine.run.reading.evidence": ("Replay", "replay_policy", "suggest_policy"),
    "engine.run.reading.library": ("audit_entries", "export_bundle", "find_run", "list_runs", "verify_run"),
    "engine.loop": ("run_in_loop",),
    "engine.run.lifecycle": ("clean", "destroy_run", "reap", "run_attached", "start_detached", "stop_run"),
    "engine.run.records.open_file": ("OpenView", "read_open"),
    "engine.run.control.rename": ("rename_run",),
    "engine.run.request": ("RunRequest",),
    "engine.run.workspace.snapshots": (
        "Restoration", "list_snapshots", "make_snapshot", "remove_snapshot", "restore_snapshot",
    ),
    "engine.run.reading.tail": ("LogTail", "RequestTail"),
    "engine.run.terminals.terminal": ("AgentIO",),
    "engine.run.reading.uses": ("run_uses",),
    "engine.run.workspace.volumes": ("list_volumes", "remove_volume"),
    "engine.run.workspace.describe": ("WorkspaceInfo", "describe_workspace"),
    "engine.run.workspace.worktree": ("Cleaned", "clean_worktrees", "fetch_worktrees", "list_worktrees"),
    "engine.ssh_agent": ("SshKey", "SshOffer"),
    "engine.workspace.record": ("LeftOut",),
    "engine.workspace.snapshots.info": ("SnapshotInfo",),
    "engine.worktrees.fetching": ("Fetched",),
    "engine.worktrees.state": ("WorktreeState",),
}  # fmt: skip
__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = exports(__name__, _HOMES)
