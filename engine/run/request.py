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
    without_grants: tuple[str, ...] = ()  # asked for by agent.yaml, and not given
    env: dict[str, str] = {}
    secrets: dict[str, str] = {}  # variable -> reference (op://…, ssm://…, env://…)
    mounts: tuple[str, ...] = ()  # "SRC:DST[:ro]", SRC relative to the workspace
    volumes: tuple[str, ...] = ()  # "NAME:TARGET[:ro]"
    publish: tuple[str, ...] = ()  # "NAME:PORT", or "PORT"
    interactive: bool = False
    tty: bool = False  # only with interactive: allocate a terminal
    image: str = ""
    runtime: str = ""
    rootfs: str = ""  # a directory tree in place of this machine's system, for a runtime without images
    sandbox: bool | None = None  # False is --no-sandbox
    docker: str = ""  # "host" or "dind"; "none": whatever agent.yaml asks for, no Docker
    policy: str = ""  # one of engine.config.POLICIES
    allow_hosts: tuple[str, ...] = ()
    profile: str = ""
    keep: bool = False
    rebuild: bool = False  # make what agent.yaml adds to the image again
    connect_to: tuple[str, ...] = ()  # "HOST:PORT:ADDR:PORT"
    upstream_ca: str = ""
    allow_private: tuple[str, ...] = ()  # "HOST:PORT"
    decoys: bool | None = None  # None: as config.yaml and agent.yaml say; False only a person can say
    accept_config: bool = False  # whatever agent.yaml asks for
    viewer: bool = False  # a screen starts it, which will answer what the policy `ask` asks
    person: bool = False  # somebody is there to be asked about a workspace's first wishes
    accepted: tuple[str, ...] = ()  # ApprovalNeeded.asks that a person was shown and agreed to
    worktree: str = ""  # a branch of the repository at `workspace`, which the run has a worktree of
    repository: str = ""  # that repository, once `workspace` is the worktree

    def __repr__(self) -> str:
        return f"RunRequest(workspace={self.workspace!r}, name={self.name!r}, env={sorted(self.env)})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """As __repr__: the values of `env` may be anything, and belong on no screen."""
        return [("workspace", self.workspace), ("name", self.name), ("env", sorted(self.env))]
