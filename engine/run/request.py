"""What a person asks of a run, before the workspace's own agent.yaml has been read."""

from __future__ import annotations

import msgspec


class RunRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The host-side wishes for one run. Empty means: as agent.yaml says, else the default.

    It crosses to a detached supervisor as JSON on a pipe, never in argv, because `env` may hold anything.
    """

    workspace: str = "."
    command: tuple[str, ...] = ()
    name: str = ""
    grants: tuple[str, ...] = ()
    env: dict[str, str] = {}
    mounts: tuple[str, ...] = ()  # "SRC:DST[:ro]", SRC relative to the workspace
    interactive: bool = False
    tty: bool = False  # only with interactive: allocate a terminal
    image: str = ""
    runtime: str = ""
    sandbox: bool | None = None  # False is --no-sandbox
    policy: str = ""  # "permissive" or "strict"
    allow_hosts: tuple[str, ...] = ()
    profile: str = ""
    keep: bool = False
    connect_to: tuple[str, ...] = ()  # "HOST:PORT:ADDR:PORT"
    upstream_ca: str = ""
    accept_config: bool = False  # whatever agent.yaml asks for
    accepted: tuple[str, ...] = ()  # ApprovalNeeded.asks that a person was shown and agreed to
