"""The main job, on the real thing: one agent per sandbox does everything, then each promise is looked at."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import requests
from e2e.conftest import CANARY, Moat, docker, wait_until

FLAGS = {"standard": ["--no-sandbox"], "gvisor": [], "bubblewrap": ["--runtime", "bubblewrap"]}
AGENT = Path(__file__).with_name("agent.py")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("standard", marks=pytest.mark.docker),
        pytest.param("gvisor", marks=pytest.mark.gvisor),
        pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
    ],
)
def errand(request, tmp_path_factory, github):
    """The agent's own account (`out`), the run as Moat tells it, and what Docker knew while it lived."""
    base = tmp_path_factory.mktemp(f"errand-{request.param}")
    moat = Moat(base / "home")
    workspace = base / "workspace"
    workspace.mkdir()
    shutil.copy(AGENT, workspace)
    _copy_requests(workspace / "packages")
    moat.grant()
    before = len(github.upstream.requests)
    moat(
        "run", workspace, "-d", "--name", "errand", "-g", "github", "--policy", "strict", *github.flags(),
        *FLAGS[request.param],
        # The agent searches for the token without being told it whole.
        "-e", f"CANARY_A={CANARY[:20]}", "-e", f"CANARY_B={CANARY[20:]}",
        "--", "python3", "/workspace/agent.py",
    )  # fmt: skip
    try:
        done = workspace / "done.json"
        wait_until(done.exists, 120)
        run = moat.run_named("errand")
        inspected = known_outside(run)
        (workspace / "go").touch()
        wait_until(lambda: moat.run_named("errand")["state"] == "exited")
        yield {
            "out": json.loads(done.read_text()),
            "moat": moat,
            "workspace": workspace,
            "run": moat.run_named("errand"),
            "inspect": inspected,
            "sandbox": request.param,
            "arrived": github.upstream.requests[before:],
        }
    finally:
        moat.close()


def known_outside(run: dict) -> str:
    """What the engine tells of the living run, or this machine's process list where there is none."""
    if run["runtime"] == "docker":
        return docker("inspect", run["container_id"]) + docker("network", "inspect", run["network"])
    return subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout


def _copy_requests(target: Path) -> None:
    """A real Python client for the container, from the packages this suite itself uses."""
    site = Path(requests.__file__).parent.parent
    for name in ("requests", "urllib3", "idna", "certifi", "charset_normalizer"):
        shutil.copytree(site / name, target / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))


@pytest.mark.parametrize("client", ["curl", "curl_own_token", "urllib", "requests"])
def test_the_agent_uses_the_api_as_if_it_held_the_token(errand, client):
    assert "octocat" in json.dumps(errand["out"][client])


def test_git_clones_over_smart_http(errand):
    assert errand["out"]["clone"] == {"code": 0, "out": "", "err": ""}
    assert errand["out"]["cloned"] == "hello from the repository\n"


def test_threat_12_13_the_upstream_saw_exactly_one_authorization_and_it_was_the_tokens(errand):
    expected = {f"Bearer {CANARY}", "Basic " + base64.b64encode(f"x-access-token:{CANARY}".encode()).decode()}
    assert errand["arrived"]
    for request in errand["arrived"]:
        (sent,) = request.all("authorization")
        assert sent in expected
        assert not [name for name, _ in request.headers if name.lower().startswith("proxy-")]


def test_threat_30_the_token_is_nowhere_inside(errand):
    out = errand["out"]
    assert "authorization" in json.dumps(out["curl_echo"]).lower()
    assert out["files"] == []
    assert CANARY not in json.dumps(out)
    assert out["environ"]["GH_TOKEN"] == "ghp_moatProxyInjectedPlaceholder000000000000"
    assert "GH_TOKEN" in out["proc_environ"]  # so the search looked at something
    assert "agent.py" in out["proc_cmdline"]


def test_threat_14_an_echoed_token_is_replaced_and_is_an_alarm(errand):
    assert f"Bearer {'x' * len(CANARY)}" in errand["out"]["curl_echo"]["out"]
    said = [e["data"] for e in errand["moat"].entries("errand") if e["data"].get("decision") == "scrub"]
    assert [data["operation"] for data in said] == ["GET https://api.github.com/echo"]
    assert "ALARM: the credential of grant github came back" in said[0]["message"]


def test_threat_30_the_token_is_nowhere_in_what_docker_knows(errand):
    assert CANARY not in errand["inspect"]
    assert "MOAT_RUN_ID" in errand["inspect"]


def test_threat_30_31_the_token_is_nowhere_at_home_but_in_the_store(errand):
    home = errand["moat"].home
    basic = base64.b64encode(f"x-access-token:{CANARY}".encode()).decode()
    assert errand["moat"].files_with(CANARY) == []
    assert errand["moat"].files_with(basic) == []
    assert (home / "credentials" / "github.enc").exists()
    echo = next(r for r in errand["moat"].requests("errand") if r["url"].endswith("/echo"))
    assert "[REDACTED]" in echo["response_body"]


def test_threat_33_files_are_private(errand):
    for path in [errand["moat"].home, *errand["moat"].home.rglob("*")]:
        assert path.lstat().st_mode & 0o077 == 0, path


def test_threat_1_a_request_for_another_host_inside_the_tunnel_is_refused(errand):
    answer = errand["out"]["inner_host"]["out"]
    assert re.search(r"^HTTP/\S+ 40[03]", answer, re.MULTILINE)
    assert not any(request.all("host") == ["evil.test"] for request in errand["arrived"])


def test_a_host_outside_the_policy_is_refused_with_host_rule_and_remedy(errand):
    said = errand["out"]["denied"]
    record = next(r for r in errand["moat"].requests("errand") if r.get("host") == "evil.test")
    assert record["decision"] == "denied"
    assert "403" in said["out"] + said["err"]
    denials = [e["data"] for e in errand["moat"].entries("errand") if e["type"] == "policy"]
    assert any(d["decision"] == "deny" and "evil.test" in d["message"] for d in denials)


@pytest.mark.parametrize("name", ["plain_http", "other_port"])
def test_threat_5_6_no_token_on_plain_http_or_another_port(errand, name):
    said = errand["out"][name]
    assert "octocat" not in said["out"]


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "127.0.0.1", "10.0.0.1", "2130706433", "0x7f.1", "[::1]", "[fd00:ec2::254]"],
)
def test_threat_19_private_addresses_are_refused_by_the_proxy(errand, address):
    assert errand["out"][f"private {address}"].startswith("HTTP/1.1 403 ")


@pytest.mark.parametrize("name", ["no_proxy", "unset_proxy"])
def test_threat_16_without_the_proxy_there_is_no_way_out(errand, name):
    assert errand["out"][name]["code"] != 0
    assert errand["out"][name]["out"] == ""


@pytest.mark.parametrize("name", ["raw_tcp", "raw_udp", "raw_tcp6"])
def test_threat_16_raw_sockets_reach_nobody(errand, name):
    assert errand["out"][name].split(":")[0] in ("OSError", "TimeoutError", "ConnectionRefusedError")


def test_threat_22_there_is_nothing_to_gain_as_root(errand):
    assert errand["out"]["docker_socket"] == []
    assert errand["out"]["iptables"]["code"] != 0
    status = dict(line.split(":\t", 1) for line in errand["out"]["status"].splitlines() if ":\t" in line)
    effective = int(status["CapBnd"], 16)
    for dangerous in (12, 13, 16, 17, 19, 21, 27):  # NET_ADMIN NET_RAW SYS_MODULE RAWIO PTRACE ADMIN MKNOD
        assert not effective >> dangerous & 1


def test_threat_23_the_proxy_wants_the_runs_own_token(errand):
    assert re.match(r"HTTP/\S+ 407", errand["out"]["no_token"]["out"])


def test_the_sandbox_is_the_one_that_was_asked_for(errand):
    assert ("Starting gVisor" in errand["out"]["kernel"]) == (errand["sandbox"] == "gvisor")
    expected = ("bubblewrap", "") if errand["sandbox"] == "bubblewrap" else ("docker", errand["sandbox"])
    assert (errand["run"]["runtime"], errand["run"].get("sandbox", "")) == expected
    (started,) = [e["data"] for e in errand["moat"].entries("errand") if e["data"].get("action") == "started"]
    assert f"runtime {expected[0]}" in started["reason"]


def test_what_the_agent_wrote_belongs_to_whoever_ran_moat(errand):
    assert (errand["workspace"] / "written-by-agent").stat().st_uid == os.getuid()


def test_every_use_is_in_a_log_that_verifies(errand):
    moat = errand["moat"]
    verdict = moat.json("audit", "errand")
    assert (verdict["valid"], verdict["hash_chain_valid"], verdict["attestations_valid"]) == (
        True,
        True,
        True,
    )
    entries = moat.entries("errand")
    used = [e for e in entries if e["type"] == "credential"]
    assert len(used) >= len(errand["arrived"])
    assert {e["data"]["action"] for e in used} == {"inject", "inject-replaced"}
    for entry in used:  # the intent stands before the outcome
        assert any(
            later["type"] == "network" and later["data"].get("credential_used") == "github"
            for later in entries[entry["seq"] :]
        )
    assert moat("audit", "verify", moat.home.parent / "errand-proof.json").returncode == 0


def test_the_container_and_its_network_are_gone_at_the_end(errand):
    assert errand["run"]["exit_code"] == 7
    if errand["sandbox"] == "bubblewrap":
        assert errand["run"]["id"] not in known_outside(errand["run"])
        return
    label = f"label=moat.run={errand['run']['id']}"
    assert docker("ps", "-aq", "--filter", label) == ""
    assert docker("network", "ls", "-q", "--filter", label) == ""
