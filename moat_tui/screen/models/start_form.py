"""From what was typed into the start form to a RunRequest, or to a sentence that says what is wrong."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine import RunInfo, RunRequest

AS_CONFIGURED = "configured"
POLICIES = (
    (AS_CONFIGURED, "as agent.yaml says"),
    ("permissive", "permissive"),
    ("strict", "strict"),
)
RUNTIMES = (
    (AS_CONFIGURED, "as agent.yaml says"),
    ("docker", "docker"),
)
SANDBOXES = (
    (AS_CONFIGURED, "as agent.yaml says"),
    ("off", "off: no gVisor"),
)


class FormError(Exception):
    """field: the id of the field that is wrong; the message is for the person."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def like(run: RunInfo) -> RunRequest:
    """What to ask for to get a run like this one; its environment, mounts and hosts are not recorded."""
    from engine import RunRequest

    return RunRequest(
        workspace=run.workspace,
        command=run.command,
        grants=run.grants,
        image=run.image,
        runtime=run.runtime,
        sandbox=False if run.sandbox == "standard" else None,
        policy=run.policy,
        profile=run.profile,
        interactive=run.interactive,
        keep=run.keep,
    )


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
) -> RunRequest:
    """Raises FormError. Only what can be judged without the engine is judged here."""
    from engine import RunRequest

    folder = Path(workspace.strip() or ".").expanduser()
    if not folder.is_dir():
        what = "is not a directory" if folder.exists() else "does not exist"
        raise FormError("workspace", f"{folder} {what}.")
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise FormError("command", f"The command cannot be split into words: {error}.") from error
    return RunRequest(
        workspace=str(folder.absolute()),
        command=words,
        name=name.strip(),
        grants=grants,
        policy="" if policy == AS_CONFIGURED else policy,
        runtime="" if runtime == AS_CONFIGURED else runtime,
        profile=profile,
        sandbox=False if sandbox == "off" else None,
    )
