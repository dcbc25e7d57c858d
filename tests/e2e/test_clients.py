"""Real clients pass through the proxy: one container per sandbox runs them all, then each is looked at."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from e2e.conftest import CANARY, TOOLS_IMAGE, Moat, wait_until
from support import registry
from support.client_packages import client_packages
from support.client_upstream import MODEL, WORDS, ClientUpstream
from support.github import API
from support.threaded import ThreadedUpstream

ERRAND = Path(__file__).parent / "clients" / "errand.py"
KEY = "sk-ant-CanaryThatMustNeverBeSeen0123456789"
SIZE = 64 * 1024 * 1024

USER = {"login": "octocat"}
TEXT = json.dumps(USER, separators=(",", ":"))
EXPECTED = {
    "curl-http1": f"{TEXT}\n1.1 200",
    "curl-http2": f"{TEXT}\n2 200",
    "curl-http1.0": f"{TEXT}\n1.1 200",  # RFC 9110 §2.5: the answer says the version that the proxy speaks
    "curl-head": "1.1 200",
    "curl-head-http2": "2 200",
    "curl-range": "234\n2 206",
    "curl-chunked": '{"size": 70000}\n1.1 200',
    "curl-events": "data: event 0\n\ndata: event 1\n\n",
    "pip": registry.SAYS,
    "uv": registry.SAYS,
    "npm": registry.SAYS,
    "urllib": USER,
    "requests": [USER, {"size": 70_000}],
    "httpx": [["HTTP/1.1", TEXT]],  # it offers HTTP/2 second, and is taken at its word
    "aiohttp": USER,
    "websockets": ["hello", 200_000],
    "grpc": ["ONCE", ["COUNT"] * 3, ["WORD 0", "WORD 1", "WORD 2"]],
    "anthropic": list(WORDS),
    "node-fetch": TEXT,
    "node-https": TEXT,
    "node-websocket": "hello",
    "node-without-flag": TEXT,
}


@pytest.fixture(scope="module")
def packages(request, docker_engine):
    try:
        return client_packages(request.config.cache.mkdir("client-packages"), TOOLS_IMAGE)
    except subprocess.CalledProcessError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the clients cannot be installed here: {error}")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("standard", "permissive"), marks=pytest.mark.docker, id="standard-permissive"),
        pytest.param(("gvisor", "strict"), marks=pytest.mark.gvisor, id="gvisor-strict"),
    ],
)
def errand(request, tmp_path_factory, packages):
    """What each client got, what arrived upstream, the run, and its supervisor's memory (peaks in kB)."""
    sandbox, policy = request.param
    base = tmp_path_factory.mktemp(f"clients-{sandbox}")
    workspace, service = base / "workspace", base / "service"
    workspace.mkdir()
    service.mkdir()
    shutil.copy(ERRAND, workspace)
    # In `strict` they are served without being asked for.
    (workspace / "agent.yaml").write_text(
        "network: {transparent: true}\n" if policy == "permissive" else "{}\n"
    )
    upstream = ThreadedUpstream(ClientUpstream(service, CANARY, KEY))
    moat = Moat(base / "home")
    try:
        moat.grant()
        moat("grant", "anthropic", "--stdin", "--no-validate", given=KEY.encode())
        moat(
            "run", workspace, "-d", "--name", "clients", "-g", "github", "-g", "anthropic",
            "--policy", policy, "--allow-host", registry.HOST, *upstream.flags(),
            *(["--no-sandbox"] if sandbox == "standard" else []),
            "-m", f"{packages}:/packages:ro", "-e", "PYTHONPATH=/packages",
            "--", "python3", "/workspace/errand.py",
        )  # fmt: skip
        wait_until((workspace / "small.json").exists, 150)
        before = _peak(moat)
        (workspace / "go").touch()
        wait_until((workspace / "big.json").exists, 150)
        after = _peak(moat)
        (workspace / "end").touch()
        wait_until(lambda: moat.run_named("clients")["state"] == "exited")
        yield {
            "small": json.loads((workspace / "small.json").read_text()),
            "big": json.loads((workspace / "big.json").read_text()),
            "memory": (before, after),
            "arrived": upstream.upstream.requests,
            "moat": moat,
            "repository": service / "repo.git",
        }
    finally:
        moat.close()
        upstream.close()


def _peak(moat: Moat) -> int:
    status = Path(f"/proc/{moat.run_named('clients')['supervisor_pid']}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize("name", EXPECTED)
def test_a_client_gets_what_it_would_have_got_alone(errand, name):
    assert errand["small"][name]["got"] == EXPECTED[name]


def test_curl_that_waits_for_100_continue_is_told_to_go_on_at_once(errand):
    said = errand["small"]["curl-expect"]
    assert said["got"].endswith('{"size": 70000}')
    assert "< HTTP/1.1 100 Continue" in said["got"]


def test_git_pushes_what_it_committed(errand):
    listed, ref, head = errand["small"]["git"]["got"]
    assert (listed, ref) == (head, "refs/heads/second")
    kind = subprocess.run(["git", "-C", errand["repository"], "cat-file", "-t", head], capture_output=True)
    assert kind.stdout == b"commit\n"
    chunked = [
        r for r in errand["arrived"] if r.path.endswith("git-receive-pack") and r.size > 2 * 1024 * 1024
    ]
    assert len(chunked) == 1


def test_every_request_arrived_with_the_credential_of_its_host_and_no_other(errand):
    basic = "Basic " + base64.b64encode(f"x-access-token:{CANARY}".encode()).decode()
    expected = {
        API: ({f"Bearer {CANARY}"}, set()),
        "github.com": ({basic}, set()),
        MODEL: (set(), {KEY}),
        registry.HOST: (set(), set()),
    }
    seen = set()
    for request in errand["arrived"]:
        (host,) = request.all("host")
        seen.add(host)
        tokens, keys = expected[host]
        for name, allowed in (("authorization", tokens), ("x-api-key", keys)):
            sent = request.all(name)
            assert len(sent) == len(allowed or ())
            assert set(sent) <= allowed, (host, request.path)
        assert not [name for name, _ in request.headers if name.lower().startswith("proxy-")]
    assert seen == set(expected)


def test_every_request_is_recorded_and_no_other(errand):
    arrived = Counter((r.method, r.all("host")[0], urlsplit(r.path).path) for r in errand["arrived"])
    recorded = Counter()
    for record in errand["moat"].requests("clients"):
        # uv reads a wheel's end, and gives up what it has no more use for.
        broken_off = (
            record.get("error") == "stream reset by client (CANCEL)" and record["host"] == registry.HOST
        )
        if record.get("error") and not broken_off:
            pytest.fail(json.dumps(record))  # whole: which client it was stands at its end
        assert record.get("decision", "allowed") == "allowed", record
        recorded[record["method"], record["host"], urlsplit(record["url"]).path] += 1
    assert recorded == arrived


def test_every_use_of_a_credential_is_in_a_log_that_verifies(errand):
    moat = errand["moat"]
    assert moat.json("audit", "clients")["valid"] is True
    uses = [entry for entry in moat.entries("clients") if entry["type"] == "credential"]
    carried = [request for request in errand["arrived"] if request.all("host") != [registry.HOST]]
    assert len([use for use in uses if use["data"]["action"].startswith("inject")]) == len(carried)


@pytest.mark.parametrize("secret", [CANARY, KEY], ids=["token", "key"])
def test_no_client_and_no_file_saw_a_credential(errand, secret):
    for needle in (secret, base64.b64encode(f"x-access-token:{secret}".encode()).decode()):
        assert needle not in json.dumps(errand["small"]) + json.dumps(errand["big"])
        assert errand["moat"].files_with(needle) == []


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("download", str(SIZE)),
        ("download-http2", str(SIZE)),
        ("upload", f'{{"size": {SIZE}}}'),
        ("upload-http2", f'{{"size": {SIZE}}}'),
    ],
)
def test_big_bodies_pass_whole(errand, name, got):
    assert errand["big"][name]["got"] == got


def test_big_bodies_do_not_fill_the_supervisors_memory(errand):
    before, after = errand["memory"]
    assert after - before < 20 * 1024
