"""The one vocabulary: what a run writes down, what viewers read, what crosses the control socket.

Everything here is a frozen msgspec struct, so it is the same in memory, in a file and on the socket.
Times are RFC 3339 UTC text with `Z` and at most microseconds; durations are whole milliseconds; sizes
are bytes. Readers ignore keys they do not know and writers leave out what is empty, so a newer Moat's
files open in an older one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

import msgspec


class RunState(StrEnum):
    """A run moves down this list and never up."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    EXITED = "exited"  # the agent ended by itself, whatever its exit code
    STOPPED = "stopped"  # a person or signal stopped it
    FAILED = "failed"  # Moat could not run it
    INTERRUPTED = "interrupted"  # the supervisor died; closed by the reaper

    @property
    def ended(self) -> bool:
        return self in _ENDED


_ENDED = frozenset({RunState.EXITED, RunState.STOPPED, RunState.FAILED, RunState.INTERRUPTED})


class PublishedPort(msgspec.Struct, frozen=True):
    """A port of a run's container that this machine's own programs reach. address: "127.0.0.1:3000"."""

    name: str
    port: int  # in the container
    address: str

    @property
    def url(self) -> str:
        return f"http://{self.address}"


class RunInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """`metadata.json`: who a run is and how far it got. Holds names, never a value."""

    id: str
    name: str
    created_at: str
    state: RunState = RunState.STARTING
    agent: str = ""
    workspace: str = ""
    command: tuple[str, ...] = ()
    image: str = ""
    layers: tuple[str, ...] = ()  # names of what agent.yaml adds to the image; the last is what it ran
    runtime: str = "docker"
    sandbox: str = ""  # "gvisor" or "standard"; "" where the runtime has one way only
    policy: str = "permissive"
    grants: tuple[str, ...] = ()  # with scope and limits, e.g. github:ro;max_requests=100
    profile: str = ""
    interactive: bool = False
    keep: bool = False
    started_at: str = ""
    ended_at: str = ""
    exit_code: int | None = None
    error: str = ""
    supervisor_pid: int = 0
    container_id: str = ""
    network: str = ""
    ports: tuple[PublishedPort, ...] = ()  # while it runs
    volume_names: tuple[str, ...] = ()  # agent.yaml's too; of the workspace's volumes
    # What was asked for on the host, as it was said there; env as names only.
    rootfs: str = ""
    env: tuple[str, ...] = ()
    secrets: dict[str, str] = {}  # variable -> reference
    mounts: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    without_grants: tuple[str, ...] = ()
    connect_to: tuple[str, ...] = ()
    upstream_ca: str = ""
    decoys: bool = False
    services: dict[str, str] = {}  # service -> image
    lost: tuple[str, ...] = ()  # what ended beside the agent before its time, e.g. "redis ended with …"
    docker: str = ""  # "host" or "dind": the Docker engine that the agent was given
    worktree: str = ""  # the branch, where the workspace is a worktree that Moat made
    repository: str = ""  # of that branch
    frozen: str = ""  # why its network is frozen, which it then stays; empty while it is not

    @property
    def providers(self) -> tuple[str, ...]:
        """Whose credentials it was given, without scopes and limits: github, ssh:HOST."""
        return tuple(grant_provider(grant) for grant in self.grants)


def grant_provider(grant: str) -> str:
    """`github` of `github:ro;methods=GET`; the colon of `ssh:HOST` is part of the name."""
    name = grant.partition(";")[0]
    return name if name.startswith("ssh:") else name.partition(":")[0]


class VolumeInfo(msgspec.Struct, frozen=True):
    """A workspace's named storage. path: of its directory here. whole: whether `size` counts all of it.

    used_by: names of live runs that have it.
    """

    name: str
    workspace: str
    path: str
    size: int
    whole: bool
    used_by: tuple[str, ...]


class RequestRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of `network.jsonl`, redacted before it is built (formats.md, "Network files")."""

    id: str
    ts: str
    method: str
    url: str
    host: str = ""
    status_code: int = 0
    duration_ms: int = 0
    ttfb_ms: int = 0
    bytes_in: int = 0  # from the upstream to the agent
    bytes_out: int = 0  # from the agent to the upstream
    decision: str = "allowed"  # or "denied"
    rule: str = ""
    grant: str = ""
    refused: bool = False  # the service did not take the grant's credential
    request_headers: dict[str, str] = {}
    response_headers: dict[str, str] = {}
    request_body: str = ""
    response_body: str = ""
    scrubbed: int = 0  # how often a credential that came back was replaced
    error: str = ""


class LogLine(msgspec.Struct, frozen=True):
    """One line of `logs.jsonl`: what the agent printed, without its line end."""

    ts: str
    line: str
    stream: str = "stdout"  # or "stderr"


class ControlRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line to a run's `control.sock`. op: `ping`, `stop`, `kill`, `rename` (to `name`); `watch`
    (somebody is there to answer approvals), `answer` (with `approval` and `answer`); `report` (an audit
    entry: `type` and `data`); `exec`, `attach`.

    The last two turn the connection into a session once they are answered, and the rest is theirs
    (engine/run/terminals/frames.py). command: empty is a shell. height, width: the terminal's, in characters.
    """

    op: str
    name: str = ""
    approval: str = ""  # Approval.id
    answer: str = ""  # once, run, always, deny, deny-run
    type: str = ""
    data: dict[str, str] = {}
    command: tuple[str, ...] = ()
    stdin: bool = False
    tty: bool = False
    term: str = ""  # TERM where the person sits
    height: int = 0
    width: int = 0


class ControlReply(msgspec.Struct, frozen=True, omit_defaults=True):
    ok: bool
    error: str = ""
    detail: str = ""
    remedy: str = ""
    state: str = ""
    tty: bool = False  # the session's program has a terminal


class Approval(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of `approvals.json`: a request that waits for a person's answer. All of it is the agent's
    wording, redacted and not yet fit for a terminal.

    host: in full, as it is sent (an international name in its xn-- form); reads_as: how it reads, empty
    when that is the same. requests: how many that are alike wait for this answer.
    """

    id: str
    host: str
    port: int
    method: str
    path: str
    since: str
    until: str
    tls: bool = True
    reads_as: str = ""
    requests: int = 1


class GrantState(StrEnum):
    VALID = "valid"
    EXPIRING = "expiring"  # within seven days
    EXPIRED = "expired"
    REFUSED = "refused"  # the service did not take it when a run last used it
    STALE = "stale"  # its OAuth token could not be refreshed
    UNREADABLE = "unreadable"


class GrantInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stored grant as a viewer may see it: never the value."""

    provider: str
    profile: str = ""
    title: str = ""
    hosts: tuple[str, ...] = ()
    state: GrantState = GrantState.VALID
    source: str = ""  # where the value came from, e.g. "GITHUB_TOKEN", "gh auth token", "prompt"
    account: str = ""  # what the service said when the value was validated
    env: dict[str, str] = {}  # variable -> placeholder that a run gets
    scopes: tuple[str, ...] = ()
    settings: dict[str, str] = {}  # how it was granted, e.g. "region" of a role, "host_keys" of an SSH host
    created_at: str = ""
    expires_at: str = ""
    last_used_at: str = ""
    last_used_run: str = ""  # run id
    problem: str = ""  # why it is unreadable or was not refreshed, or who refused it


class ProviderInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of the provider table."""

    name: str
    title: str
    hosts: tuple[str, ...]
    header: str
    sources: tuple[str, ...] = ()  # environment variables and commands tried, in order
    env: dict[str, str] = {}
    setup: tuple[str, ...] = ()  # a command that makes a value, for the person's own terminal
    scopes: tuple[str, ...] = ()  # names that can follow a colon: github:ro
    origin: str = ""  # the person's own file that defines it; "" for a built-in one


class GrantUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """`usage.json` of a run is a map of grant name to this.

    refused_at: when the service last refused the credential, "" when it has taken it since.
    """

    last_used_at: str
    uses: int
    refused_at: str = ""


def timestamp(moment: datetime | None = None) -> str:
    """Now, or `moment` (aware), as RFC 3339 UTC with trailing fractional zeros trimmed, as Go prints it."""
    moment = (moment or datetime.now(UTC)).astimezone(UTC)
    text = moment.replace(tzinfo=None).isoformat(timespec="seconds")  # strftime does not pad early years
    if moment.microsecond:
        text += f".{moment.microsecond:06d}".rstrip("0")
    return text + "Z"
