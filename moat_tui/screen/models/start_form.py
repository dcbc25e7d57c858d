"""From what was typed into the start form to a RunRequest, or to a sentence that says what is wrong."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine import RunRequest

AS_CONFIGURED = "configured"
POLICIES = (
    (AS_CONFIGURED, "as agent.yaml says"),
    ("permissive", "permissive"),
    ("strict", "strict"),
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


def build_request(
    *, workspace: str, command: str, name: str, grants: tuple[str, ...], policy: str, sandbox: str
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
        sandbox=False if sandbox == "off" else None,
    )
