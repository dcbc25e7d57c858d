"""The states of the screen that are about grants: adding, showing, limiting and revoking them."""

from __future__ import annotations

import msgspec
from support.screen_home import HOST_KEY, SSH_KEYS, FakeFace, ago, write_run
from support.screen_sample import REVIEW, sample_face
from support.screen_states import (
    ARN,
    DAY,
    START,
    TROUBLE,
    Focused,
    Seen,
    State,
    Step,
    Typed,
    day,
    loading,
    trouble,
)

from engine import GrantInfo, GrantUse, Home, RunInfo, RunState


def _unknown_host(home: Home) -> FakeFace:
    """An SSH server that is in no known_hosts, and an agent with one key."""
    face = sample_face(home)
    face.keys, face.pinned = face.keys[:1], False
    return face


def _limited(home: Home) -> FakeFace:
    """A run whose grants are limited, and a role and an SSH host that are granted."""
    run = RunInfo(
        "run_aaaa1111",
        "swift-otter",
        ago(minutes=48),
        RunState.RUNNING,
        started_at=ago(minutes=48),
        workspace="/home/dana/src/shop",
        command=("npm", "test"),
        grants=(
            "github:ro;max_requests=100;expires_in=1h",
            "openai;methods=POST;paths=/v1/responses;max_requests=20",
            "ssh:git.test",
        ),
    )
    write_run(home, run)
    uses = {"github": GrantUse(ago(seconds=9), 43), "openai": GrantUse(ago(), 7, refused_at=ago())}
    home.write(home.run(run.id) / "usage.json", msgspec.json.encode(uses))
    face = FakeFace(home)
    role = {
        "region": "eu-west-1",
        "session_duration": "3600s",
        "external_id": "team-7",
        "profile": "dev",
        "policy": '{"Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}',
    }
    host = {"port": "2222", "host_keys": f"{HOST_KEY.kind} {HOST_KEY.fingerprint}"}
    face.stored = [
        GrantInfo("aws", title="AWS role", hosts=("*.amazonaws.com",), account=ARN, settings=role),
        GrantInfo("github", title="GitHub", hosts=("api.github.com",), scopes=("ro",)),
        GrantInfo("openai", title="OpenAI", hosts=("api.openai.com",)),
        GrantInfo(
            "ssh:git.test",
            "",
            "SSH to git.test",
            ("git.test",),
            account=SSH_KEYS[0].fingerprint,
            settings=host,
        ),
    ]
    return face


def _with_limits(*steps: Step) -> State:
    return State(_limited, Seen("swift-otter", "4 grants", "refused by"), steps)


GIVE: tuple[Step, ...] = ("a", Seen("openai"), *"git", "enter", Seen("Add a grant: GitHub"))
ROLE: tuple[Step, ...] = ("a", Seen("openai"), *"aws", "enter", Seen("Add a grant: AWS role"))
SSH: tuple[Step, ...] = ("a", Seen("openai"), *"ssh", "enter", Seen("Add a grant: SSH host"))
LIMIT: tuple[Step, ...] = (*START, "tab", "tab", Focused("granted"), "down", "e", Seen("Limit github"))

GRANT_STATES: dict[str, State] = {
    "add-grant": day("a", Seen("openai")),
    "add-grant-loading": State(loading, DAY, ("a", Seen("Which service?")), REVIEW),
    "add-grant-left-out": State(trouble, TROUBLE, ("a", Seen("left out")), REVIEW),
    "add-grant-value": day(*GIVE, Seen("Found in")),
    "add-grant-refused": State(
        trouble,
        TROUBLE,
        (*GIVE, Typed("value", "t0ken"), "ctrl+s", Seen("refuses this token")),
        REVIEW,
    ),
    "add-grant-role": day(*ROLE, Typed("role", ARN), Typed("policy", "/"), "ctrl+s", Seen("cannot be read")),
    "add-grant-role-refused": State(
        trouble,
        TROUBLE,
        (*ROLE, Typed("role", ARN), "ctrl+s", Seen("AWS refused")),
        REVIEW,
    ),
    "add-grant-ssh": day(*SSH, Seen("holds 2 keys"), Typed("host", "git.test"), "ctrl+s", Seen("choose one")),
    "add-grant-ssh-no-agent": State(
        trouble, TROUBLE, (*SSH, Seen("✗ there is no SSH agent here"), Focused("host")), REVIEW
    ),
    "add-grant-host-keys": State(
        _unknown_host,
        DAY,
        (*SSH, Seen("kq3Vd0m8"), Typed("host", "git.test"), "ctrl+s", Seen("what its owner says")),
        REVIEW,
    ),
    "add-grant-light": day("ctrl+t", *GIVE, Seen("Found in")),
    "grant": day("3", Focused("grants-table"), "down", "enter", Seen("In use by")),
    "replace-grant": day("3", Focused("grants-table"), "down", "r", Seen("Replace a grant: GitHub")),
    "revoke": day("3", Focused("grants-table"), "down", "d", Seen("Revoke")),
    "grant-role": _with_limits("3", Focused("grants-table"), "enter", Seen("policy")),
    "grant-limits": _with_limits("3", Focused("grants-table"), "down", "enter", Seen("Limits left")),
    "grant-ssh": _with_limits("3", Focused("grants-table"), "end", "enter", Seen("host keys")),
    "replace-role": _with_limits("3", Focused("grants-table"), "r", Seen("Keep the session policy")),
    "main-limits": _with_limits("1"),
    "limit": _with_limits(
        *LIMIT, Typed("max-requests", "100"), Typed("methods", "get"), "ctrl+s", Seen("a method in capitals")
    ),
    "start-limited": _with_limits(
        *LIMIT,
        Typed("max-requests", "100"),
        Typed("expires-in", "1h"),
        "ctrl+s",
        Seen("100 requests, for"),
    ),
}
