from __future__ import annotations

import json

import yaml

from engine import RequestRecord

LATER, EARLIER = "run_bbbbbbbbbbbb", "run_aaaaaaaaaaaa"


def request(url: str, **fields: str) -> RequestRecord:
    return RequestRecord(id="1", ts="2026-01-12T10:00:00Z", method="GET", url=url, **fields)


REQUESTS = (
    request("https://api.github.com/user?a=b", grant="github"),
    request("https://packages.test/simple/x/"),
)


def test_what_is_suggested_would_change_nothing(moat, put_run, tmp_path, capsys):
    put_run(LATER, requests=REQUESTS, grants=("github", "ssh:github.com"))
    assert moat("policy", "suggest") == 0
    said = capsys.readouterr().out
    assert yaml.safe_load(said)["network"]["rules"] == [
        {"api.github.com": ["allow GET /user", "deny * /**"]},
        {"packages.test": ["allow GET /simple/x"]},
    ]
    file = tmp_path / "agent.yaml"
    file.write_text(f"{said}mounts: ['nowhere:/x']\n")
    assert moat("policy", "test", str(file), LATER) == 0
    assert "nothing would change for 2 requests" in capsys.readouterr().err


def test_what_would_be_denied_is_told_and_is_the_exit_code(moat, put_run, tmp_path, capsys):
    put_run(EARLIER, name="old", requests=(request("https://evil.test/\x1b]0;x\x07"),))
    put_run(LATER, requests=REQUESTS, grants=("github",))
    file = tmp_path / "policy.yaml"
    file.write_text("network: {policy: strict}\n")
    assert moat("policy", "test", str(file), LATER, EARLIER) == 1
    title, first, second = capsys.readouterr().out.splitlines()
    assert title.split() == ["RUN", "WAS", "WOULD", "BE", "COUNT", "METHOD", "URL", "RULE"]
    assert first.split() == [
        "swift-otter",
        "allowed",
        "denied",
        "1",
        "GET",
        "https://packages.test/simple/x/",
        "not-allowed",
    ]
    assert "\x1b" not in second
    assert second.split()[:3] == ["old", "allowed", "denied"]
    assert moat("policy", "test", str(file), "--json") == 1
    (replay,) = json.loads(capsys.readouterr().out)
    assert (replay["run"], replay["requests"], len(replay["changes"])) == (LATER, 2, 1)


def test_a_mistake_in_the_file_names_its_line(moat, put_run, tmp_path, capsys):
    put_run(LATER, requests=REQUESTS)
    file = tmp_path / "policy.yaml"
    file.write_text("network:\n  polcy: strict\n")
    assert moat("policy", "test", str(file)) == 125
    assert "policy.yaml:2" in capsys.readouterr().err
    assert moat("policy", "test", str(tmp_path / "none.yaml")) == 125
    assert "none.yaml" in capsys.readouterr().err


def test_a_run_that_reached_nothing(moat, put_run, capsys):
    put_run(LATER)
    assert moat("policy", "suggest", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"network": {"policy": "strict"}}
    assert "nothing" in err
