"""What an adversary writes to the proxy from a container, under every runtime; each case by its number."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h2
import pytest
from e2e.conftest import Moat

ATTACKER = Path(__file__).with_name("attacker.py")
OTHER = "sntrys_AnotherCanaryThatMustNeverBeSeen0123456789"
RULES = "network:\n  rules:\n    - api.github.com:\n        - deny * /admin/**\n        - allow * /**\n"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(["--no-sandbox"], marks=pytest.mark.docker, id="runc"),
        pytest.param([], marks=[pytest.mark.docker, pytest.mark.gvisor], id="gvisor"),
        pytest.param(["--runtime", "bubblewrap"], marks=pytest.mark.bubblewrap, id="bubblewrap"),
    ],
)
def attacks(request, tmp_path_factory, github):
    """What the agent was told in each case, and what reached the upstream meanwhile."""
    base = tmp_path_factory.mktemp("attacks")
    moat = Moat(base / "home")
    workspace = base / "workspace"
    workspace.mkdir()
    shutil.copy(ATTACKER, workspace)
    (workspace / "agent.yaml").write_text(RULES)
    site = Path(h2.__file__).parent.parent
    for name in ("h2", "hpack", "hyperframe"):
        shutil.copytree(
            site / name, workspace / "packages" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    moat.grant()
    moat("grant", "sentry", "--stdin", "--no-validate", given=OTHER.encode())
    before = len(github.upstream.requests)
    address = github.flags()[1].split(":", 2)[2]  # where api.github.com is connected to
    moat(
        "--no-ui", "run", workspace, "--accept-config", "-n", "attacks", "-g", "github", "-g", "sentry",
        *github.flags(), "--connect-to", f"sentry.io:443:{address}", *request.param,
        "--", "python3", "/workspace/attacker.py",
    )  # fmt: skip
    yield {
        "told": json.loads((workspace / "told.json").read_text()),
        "moat": moat,
        "arrived": github.upstream.requests[before:],
        "denied": [e["data"] for e in moat.entries("attacks") if e["data"].get("decision") == "deny"],
    }
    moat.close()


REFUSED = {
    "01": "403", "02": "403", "04": "403", "07 user": "400", "07 lookalike": "400", "08": "403", "11": "403",
    "11 url": "403", "23": "407", "23 none": "407", "25 both": "400", "25 twice": "400",
    "25 odd coding": "400",
    "25 folded": "400", "25 nul": "400", "25 bare cr": "400", "25 bare lf": "400",
    "29 dots": "400", "29 slashes": "400", "29 plain": "403",
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_threat_01_02_04_07_08_11_23_25_28_29_is_refused(attacks, case):
    told = attacks["told"][case]
    status = told.split(" ")[1] if told.startswith("HTTP/1.1 ") else told
    assert status == REFUSED[case], told[:300]
    assert "octocat" not in told


def test_threat_03_only_the_stream_that_names_another_host_is_refused(attacks):
    assert attacks["told"]["03"] == {"1": "200", "3": "403", "5": "200"}


@pytest.mark.parametrize("case", ["05", "06", "07 longer", "20"])
def test_threat_05_06_07_20_nothing_goes_there(attacks, case):
    assert "octocat" not in attacks["told"][case]
    assert " 200 " not in attacks["told"][case][:40]


def test_threat_09_a_certificate_for_another_name_gets_no_token(attacks):
    told = attacks["told"]["09"]
    assert told.startswith("HTTP/1.1 502 ")
    assert "certificate" in told
    assert not any(OTHER in str(request) for request in attacks["arrived"])


def test_the_right_host_in_any_spelling_is_the_right_host(attacks):
    for case in ("04 same", "07 spelling"):
        assert "octocat" in attacks["told"][case], attacks["told"][case][:300]


def test_threat_28_a_head_without_end_is_cut_off(attacks):
    """The refusal may be lost when the proxy hangs up on what is still being sent."""
    assert attacks["told"]["28"][:13] in ("", "HTTP/1.1 400 ")


def test_threat_26_each_of_a_pipeline_is_judged(attacks):
    told = attacks["told"]["26"]
    assert told.count("HTTP/1.1 200") == 2
    assert told.count("HTTP/1.1 403") == 1
    assert told.index("HTTP/1.1 403") < told.rindex("HTTP/1.1 200")


def test_what_arrived_was_meant_for_the_upstream_with_its_own_token_once(attacks, github):
    assert attacks["arrived"]
    for request in attacks["arrived"]:
        assert request.all("host")[0].split(":")[0].rstrip(".").lower() == "api.github.com"
        assert request.all("authorization") == [f"Bearer {github.token}"]
        assert request.path == "/user" or request.path.startswith("/redirect?")


def test_threat_10_a_redirect_to_another_host_is_judged_afresh(attacks):
    """curl is told to take its Authorization along, and holds only the stand-in."""
    told = attacks["told"]["10"]
    assert told.endswith(" 403 https://github.com.attacker.test/user")
    assert "placeholder of grant github" in told


def test_threat_11_an_astray_stand_in_is_an_alarm(attacks):
    alarms = [entry for entry in attacks["denied"] if entry["message"].partition(": ")[2].startswith("ALARM")]
    assert {entry["rule"] for entry in alarms} == {"placeholder"}
    assert len(alarms) == 3


def test_threat_30_and_nothing_of_it_was_written_down(attacks):
    moat = attacks["moat"]
    assert moat.files_with(OTHER) == []
    assert json.loads(moat("audit", "attacks", "--json").stdout)["valid"] is True
