"""Everything that can be refused before anything is started: config, approval, grants, keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from engine.aws import AWS
from engine.config import is_isolated, parse_grant
from engine.config.policies import ASK
from engine.credentials import CredentialStore, KeySource
from engine.events import RunInfo
from engine.grants import load_providers
from engine.heads import require_key
from engine.home import Home
from engine.run.approval import approve
from engine.run.beside.services import new_passwords
from engine.run.granted.aws_access import open_role
from engine.run.granted.decoys import make_decoys
from engine.run.granted.injections import Granted, open_grants
from engine.run.granted.refresh import router
from engine.run.granted.ssh_access import open_ssh
from engine.run.request import RunRequest
from engine.run.spec import RunSpec, settle
from engine.run.supervisor import Supervisor
from engine.run.terminals.terminal import AgentIO
from engine.secrets import Resolved, resolve_secrets
from engine.ssh_agent import PREFIX


async def prepare(
    home: Home,
    request: RunRequest,
    io: AgentIO,
    notice: Callable[[str], None],
    on_running: Callable[[RunInfo], None],
) -> Supervisor:
    """A supervisor ready to run. Raises the first thing that a person has to mend."""
    home.ensure_dir(home.root)
    spec = settle(home, request)
    keys = KeySource(home)
    ssh = tuple(name for name in spec.grants if name.startswith(PREFIX))
    roles = tuple(name for name in spec.grants if parse_grant(name).provider == AWS)
    others = tuple(name for name in spec.grants if name not in (*ssh, *roles))
    store = CredentialStore(home, spec.profile, keys)
    granted = await asyncio.to_thread(open_grants, store, others, load_providers(home), router(spec))
    await asyncio.to_thread(require_key, home, keys)  # that it cannot be had is said before the run exists
    granted.aws = await asyncio.to_thread(open_role, store, roles) if roles else None
    granted.ssh = await open_ssh(home, spec.profile, ssh) if ssh else None
    if spec.decoys:
        granted.decoys = make_decoys(aws=not roles)
    granted.services = new_passwords(spec.services)
    unasked = approve(
        home,
        spec.workspace,
        spec.config,
        isolated=is_isolated(spec.policy),
        anything=request.accept_config,
        accepted=request.accepted,
        person=request.person,
        repository=Path(request.repository) if request.repository else None,
    )
    # Only now: what agent.yaml names is fetched for nobody before it was agreed to.
    granted.secrets = await resolve_secrets(spec.secrets)
    for line in (
        keys.notice,
        _given_by_config(unasked),
        *granted.troubles,
        *_expiry_notices(granted),
        _unmasked(granted.secrets),
        _unwatched(spec),
    ):
        if line:
            notice(line)
    return Supervisor(home, spec, granted, keys, io=io, notice=notice, on_running=on_running)


def _given_by_config(unasked: tuple[str, ...]) -> str:
    """What only the workspace asked for is said, because the person did not type it."""
    return f"the first run here; agent.yaml gives it: {'; '.join(unasked)}" if unasked else ""


def _expiry_notices(granted: Granted) -> list[str]:
    return [f"the credential for {name} has expired; renew it: moat grant {name}" for name in granted.expired]


def _unmasked(secrets: Resolved) -> str:
    names = ", ".join(secrets.too_short)
    return f"too short to be blotted out of logs: {names}" if names else ""


def _unwatched(spec: RunSpec) -> str:
    if spec.policy != ASK or spec.viewer:
        return ""
    return "with the policy ask, requests wait for you only while you watch: moat, or moat approvals --watch"
