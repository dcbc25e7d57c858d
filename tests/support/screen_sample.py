"""A day's work with Moat, as files: what the screenshots show. Every time in it is fixed."""

from __future__ import annotations

import msgspec
from support.screen_home import (
    FakeEntry,
    FakeFace,
    FakeToken,
    FakeVerdict,
    ago,
    write_output,
    write_requests,
    write_run,
)

from engine import (
    Anchored,
    AnchorState,
    CheckResult,
    CheckState,
    GrantInfo,
    GrantState,
    GrantUse,
    Home,
    LogLine,
    RequestRecord,
    RunInfo,
    RunState,
    WorkspaceInfo,
)

REVIEW = "run_7c1f09aa52de"
TAMPERED = "run_21d4b3f0c8aa"


def sample_face(home: Home) -> FakeFace:
    """A home of five runs, and a face with grants and an audit chain for the newest."""
    for run in _runs():
        write_run(home, run)
    write_requests(home, REVIEW, *_requests())
    write_requests(home, "run_5b0e77c41a90", *_requests()[:9])
    write_requests(home, "run_21d4b3f0c8aa", *_requests()[:23])
    write_output(home, REVIEW, *_output())
    face = FakeFace(home)
    face.stored = _grants()
    for run_id, grant, uses in (
        (REVIEW, "github", 14),
        ("run_5b0e77c41a90", "github", 5),
        ("run_21d4b3f0c8aa", "openai", 19),
    ):
        usage = {grant: GrantUse(ago(seconds=17), uses)}
        home.write(home.run(run_id) / "usage.json", msgspec.json.encode(usage))
    face.workspaces["/home/dana/src/shop"] = WorkspaceInfo(
        "/home/dana/src/shop",
        "agent.yaml",
        command=("npm", "test"),
        grants=("github",),
        policy="strict",
    )
    face.chains[REVIEW] = _entries()
    face.verdicts[REVIEW] = FakeVerdict(
        entry_count=len(_entries()),
        attestation_count=1,
        last_hash="9f2c41d07be85a3316ce0f4d7a1b52e8" * 2,
        tree_valid=True,
        checkpoint_count=3,
        sealed_to=55,
    )
    face.anchored = [
        AnchorState(Anchored("git", "backup", size=40, at="2026-01-12T09:59:00Z"), due=False),
        AnchorState(Anchored("witness", "witness.example", size=31, at="2026-01-12T09:40:00Z"), due=True),
    ]
    # Somebody has changed an entry of this run's log after it was written.
    face.chains[TAMPERED] = _entries()[:41]
    face.verdicts[TAMPERED] = FakeVerdict(
        valid=False,
        hash_chain_valid=False,
        entry_count=41,
        attestation_count=1,
        error="invalid hash at seq 24: entry tampered",
        broken_at=24,
        expected="16ce0f4d7a1b52e89f2c41d07be85a33" * 2,
        found="9f2c41d07be85a3316ce0f4d7a1b52e8" * 2,
    )
    face.checked = _checks()
    face.tokens["github"] = FakeToken("not-a-real-token", "gh auth token")
    return face


def _checks() -> list[CheckResult]:
    ok, warn, fail = CheckState.OK, CheckState.WARN, CheckState.FAIL
    return [
        CheckResult("python", "Python", ok, "3.13.1"),
        CheckResult("docker", "Docker engine", ok, "28.3.1, API 1.51"),
        CheckResult(
            "gvisor",
            "gVisor",
            fail,
            "not known to the Docker engine",
            "Install and register it.",
            fixable=True,
        ),
        CheckResult("image", "Base image", ok, "debian:bookworm-slim, moat-base:bookworm"),
        CheckResult(
            "keychain", "Keychain", warn, "none: the key is a file, 0600", "Start a keychain.", needed=False
        ),
        CheckResult("ca", "Certificate authority", ok, "valid for 9 more years"),
    ]


def _runs() -> list[RunInfo]:
    common = {"image": "debian:bookworm-slim", "runtime": "docker"}
    return [
        RunInfo(
            REVIEW,
            "review-pr-482",
            ago(minutes=4),
            RunState.RUNNING,
            workspace="/home/dana/src/shop",
            command=("claude", "-p", "review pull request 482"),
            sandbox="gvisor",
            policy="strict",
            grants=("github", "anthropic"),
            **common,
        ),
        RunInfo(
            "run_5b0e77c41a90",
            "deps-update",
            ago(minutes=26),
            RunState.RUNNING,
            workspace="/home/dana/src/shop",
            command=("./agent.sh",),
            sandbox="gvisor",
            grants=("github",),
            **common,
        ),
        RunInfo(
            "run_21d4b3f0c8aa",
            "triage",
            ago(hours=3),
            RunState.EXITED,
            workspace="/home/dana/src/site",
            command=("python3", "triage.py"),
            sandbox="standard",
            grants=("openai", "sentry"),
            exit_code=0,
            ended_at=ago(hours=2),
            **common,
        ),
        RunInfo(
            "run_90ab12cd34ef",
            "nightly-docs",
            ago(hours=14),
            RunState.EXITED,
            workspace="/home/dana/src/docs",
            sandbox="gvisor",
            exit_code=2,
            ended_at=ago(hours=13),
            **common,
        ),
        RunInfo(
            "run_00fe98dc76ba",
            "try-image",
            ago(days=2),
            RunState.FAILED,
            workspace="/home/dana/src/site",
            error="there is no image called debain:bookworm Check the name, or pull it first.",
            **common,
        ),
    ]


def _requests() -> list[RequestRecord]:
    def made(
        number: int,
        method: str,
        host: str,
        path: str,
        status: int,
        took: int,
        grant: str = "",
        **more: object,
    ) -> RequestRecord:
        return RequestRecord(
            f"req_{number:04d}",
            ago(seconds=236 - 7.3 * number),
            method,
            f"https://{host}{path}",
            host,
            status,
            took,
            grant=grant,
            **more,
        )

    hub, model = "api.github.com", "api.anthropic.com"
    denied = {"decision": "denied", "rule": "strict: telemetry.example.net is not allowed"}
    detailed = {
        "rule": "grant github: api.github.com, github.com",
        "bytes_out": 612,
        "bytes_in": 48213,
        "ttfb_ms": 41,
        "request_headers": {
            "Host": "github.com",
            "User-Agent": "git/2.47.1",
            "Authorization": "[REDACTED]",
            "Accept": "application/x-git-upload-pack-result",
        },
        "response_headers": {
            "Content-Type": "application/x-git-upload-pack-result",
            "Cache-Control": "no-cache",
        },
        "request_body": "0011command=fetch0001000fno-progress\n0032want 9f2c41d07be85a33\n0009done\n0000",
    }
    rows: list[RequestRecord] = []
    plan = [
        ("GET", hub, "/user", 200, 84, "github", {}),
        ("GET", hub, "/repos/acme/shop/pulls/482", 200, 112, "github", {}),
        ("GET", hub, "/repos/acme/shop/pulls/482/files?per_page=100", 200, 241, "github", {}),
        ("POST", model, "/v1/messages", 200, 8420, "anthropic", {}),
        ("GET", "github.com", "/acme/shop.git/info/refs?service=git-upload-pack", 200, 190, "github", {}),
        ("POST", "github.com", "/acme/shop.git/git-upload-pack", 200, 1730, "github", detailed),
        ("GET", "telemetry.example.net", "/v1/ping", 403, 1, "", denied),
        ("GET", "docs.python.org", "/3/library/decimal.html", 304, 62, "", {}),
        ("POST", model, "/v1/messages", 529, 310, "anthropic", {}),
        ("POST", model, "/v1/messages", 200, 12730, "anthropic", {}),
        ("GET", hub, "/repos/acme/shop/contents/src/cart.py?ref=9f2c41d", 200, 97, "github", {}),
        (
            "GET",
            hub,
            "/repos/acme/shop/contents/tests/test_cart_rounding.py?ref=9f2c41d",
            404,
            88,
            "github",
            {},
        ),
    ]
    for number in range(30):
        method, host, path, status, took, grant, more = plan[number % len(plan)]
        rows.append(made(number, method, host, path, status, took + number, grant, **more))
    return rows


def _output() -> list[LogLine]:
    texts = [
        "\x1b[1mReviewing acme/shop#482\x1b[0m  Round totals per line, not per cart",
        "",
        "\x1b[36m▸\x1b[0m reading 14 changed files",
        "\x1b[36m▸\x1b[0m cloning acme/shop at 9f2c41d",
        "\x1b[2m  Receiving objects: 100% (8123/8123), 4.1 MiB\x1b[0m",
        "\x1b[36m▸\x1b[0m running the tests of src/cart.py",
        "",
        "tests/test_cart.py \x1b[32m........................\x1b[0m\x1b[31mF\x1b[0m\x1b[32m...\x1b[0m",
        "",
        "\x1b[31m    def test_rounding_is_per_line():\x1b[0m",
        "\x1b[31m>       assert total([0.335, 0.335]) == Decimal('0.68')\x1b[0m",
        "\x1b[31mE       AssertionError: assert Decimal('0.67') == Decimal('0.68')\x1b[0m",
        "",
        "\x1b[33mwarning\x1b[0m: 3 functions have no test",
        "\x1b]0;all fine\x07 an escape that would change the terminal's title stays on its line",
        "\x1b[1;32m✓\x1b[0m posted 2 review comments",
    ]
    lines = [LogLine(ago(seconds=230 - 9 * number), text) for number, text in enumerate(texts)]
    lines.insert(5, LogLine(ago(seconds=195), "note: git hooks of the workspace are not run", "stderr"))
    return lines


def _grants() -> list[GrantInfo]:
    return [
        GrantInfo(
            "anthropic",
            title="Anthropic",
            hosts=("api.anthropic.com",),
            source="ANTHROPIC_API_KEY",
            env={"ANTHROPIC_API_KEY": "moat-proxy-injected"},
            created_at=ago(days=20),
            last_used_at=ago(seconds=24),
            last_used_run=REVIEW,
        ),
        GrantInfo(
            "github",
            title="GitHub",
            hosts=("api.github.com", "github.com"),
            source="gh auth token",
            account="dana",
            env={"GH_TOKEN": "ghp_moatProxyInjectedPlaceholder000000000000"},
            created_at=ago(days=41),
            last_used_at=ago(seconds=17),
            last_used_run=REVIEW,
        ),
        GrantInfo(
            "openai",
            title="OpenAI",
            hosts=("api.openai.com", "chatgpt.com", "*.openai.com"),
            source="prompt",
            state=GrantState.EXPIRING,
            expires_at=ago(days=-4),
            created_at=ago(days=86),
            last_used_at=ago(hours=2),
            last_used_run="run_21d4b3f0c8aa",
        ),
        GrantInfo(
            "sentry",
            title="Sentry",
            hosts=("sentry.io", "*.sentry.io"),
            source="prompt",
            created_at=ago(days=3),
        ),
    ]


def _entries() -> list[FakeEntry]:
    entries = [FakeEntry(1, ago(seconds=240), "container", {"action": "start"})]
    for record in _requests():
        seq = len(entries) + 1
        if record.decision == "denied":
            data: dict[str, object] = {"scope": "network", "operation": record.host, "decision": "deny"}
            entries.append(FakeEntry(seq, record.ts, "policy", data))
            continue
        if record.grant:
            entries.append(
                FakeEntry(
                    seq,
                    record.ts,
                    "credential",
                    {"name": record.grant, "action": "intent", "host": record.host},
                )
            )
        data = {"method": record.method, "url": record.url, "status_code": record.status_code}
        entries.append(FakeEntry(len(entries) + 1, record.ts, "network", data))
    return entries
