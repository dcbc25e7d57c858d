"""From what was typed into the start form to a RunRequest, or to a sentence that says what is wrong."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from moat_tui.screen.models.form_error import FormError

if TYPE_CHECKING:
    from engine import RunInfo, RunRequest

AS_CONFIGURED = "configured"
POLICIES = (
    (AS_CONFIGURED, "as agent.yaml says"),
    ("permissive", "permissive"),
    ("strict", "strict"),
    ("ask", "ask"),
)
RUNTIMES = (
    (AS_CONFIGURED, "as agent.yaml says"),
    ("docker", "docker"),
    ("bubblewrap", "bubblewrap"),
    ("apple", "Apple containers"),
)
SANDBOXES = (
    (AS_CONFIGURED, "as agent.yaml says"),
    ("off", "off: no gVisor"),
    ("on", "on: gVisor"),
)
TERMINALS = (
    (AS_CONFIGURED, "as agent.yaml says"),
    ("on", "interactive: t attaches"),
)


def like(run: RunInfo) -> RunRequest:
    """What to ask for to get a run like this one. The values of its variables are not recorded."""
    from engine import RunRequest

    return RunRequest(
        workspace=run.repository or run.workspace,
        worktree=run.worktree,
        command=run.command,
        grants=run.grants,
        image=run.image,
        runtime=run.runtime,
        rootfs=run.rootfs,
        sandbox=False if run.sandbox == "standard" else None,
        policy=run.policy,
        profile=run.profile,
        interactive=run.interactive,
        keep=run.keep,
        secrets=run.secrets,
        mounts=run.mounts,
        volumes=run.volumes,
        publish=run.publish,
        allow_hosts=run.allow_hosts,
        without_grants=run.without_grants,
        connect_to=run.connect_to,
        upstream_ca=run.upstream_ca,
        decoys=run.decoys or None,
    )


def missing_values(names: Iterable[str], here: Mapping[str, str]) -> str:
    """What to say about variables whose values only the person knows; empty when there are none."""
    missing = ", ".join(name for name in names if name not in here)
    return f"Values are not recorded: write NAME=VALUE for {missing}." if missing else ""


def variables(text: str, known: Mapping[str, str], here: Mapping[str, str]) -> dict[str, str]:
    """NAME=VALUE as typed; NAME alone with the value it had (`known`), else with that of `here`.

    Raises FormError, which never holds a value.
    """
    found: dict[str, str] = {}
    for place, word in enumerate(_words("variables", text), 1):
        name, equals, value = word.partition("=")
        if not name:
            raise FormError("variables", f"Variable number {place} has no name.")
        if not equals:
            if name not in known and name not in here:
                raise FormError("variables", f"{name} has no value where Moat was started: write NAME=VALUE.")
            value = known.get(name, here.get(name, ""))
        found[name] = value
    return found


def build_request(
    *,
    workspace: str,
    command: str,
    name: str,
    grants: tuple[str, ...],
    policy: str,
    sandbox: str,
    runtime: str = AS_CONFIGURED,
    profile: str = "",
    terminal: str = AS_CONFIGURED,
    asked: tuple[str, ...] = (),
    mounts: str = "",
    hosts: str = "",
    env: Mapping[str, str] | None = None,
    decoys: bool | None = None,
) -> RunRequest:
    """grants: the ticked ones. asked: those that agent.yaml asks for; one that is not ticked is left out.

    Raises FormError. Only what can be judged without the engine is judged here.
    """
    from engine import RunRequest

    folder = Path(workspace.strip() or ".").expanduser()
    if not folder.is_dir():
        what = "is not a directory" if folder.exists() else "does not exist"
        raise FormError("workspace", f"{folder} {what}.")
    return RunRequest(
        workspace=str(folder.absolute()),
        command=_words("command", command),
        name=name.strip(),
        grants=grants,
        without_grants=tuple(grant for grant in asked if grant not in grants),
        env=dict(env or {}),
        mounts=_words("mounts", mounts),
        allow_hosts=_words("hosts", hosts),
        policy="" if policy == AS_CONFIGURED else policy,
        runtime="" if runtime == AS_CONFIGURED else runtime,
        profile=profile,
        sandbox={"on": True, "off": False}.get(sandbox),
        interactive=terminal == "on",
        decoys=decoys,
    )


def _words(field: str, text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:  # its text is about quotes, and holds nothing that was typed
        raise FormError(field, f"The {field} cannot be split into words: {error}.") from error
