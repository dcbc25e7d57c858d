"""The AWS grant with a real STS and S3, and the real SDK in containers under both runtimes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import boto3
import pytest
from support.aws import OWN_SECRET, ROLE, S3, Aws

pytestmark = pytest.mark.docker
SANDBOXES = pytest.mark.parametrize(
    "flags",
    [
        ("--no-sandbox",),
        pytest.param((), marks=pytest.mark.gvisor),
        pytest.param(("--runtime", "bubblewrap"), marks=pytest.mark.bubblewrap),
    ],
    ids=["runc", "gvisor", "bubblewrap"],
)
# The SDK of this environment is plain Python and runs in the container as it is.
SDK = ("-m", f"{Path(boto3.__file__).parent.parent}:/sdk:ro", "-e", "PYTHONPATH=/sdk")

USE_S3 = """
import boto3, json, os, subprocess, urllib.error, urllib.request
s3 = boto3.client("s3")
s3.create_bucket(Bucket="things")
s3.put_object(Bucket="things", Key="note", Body=b"kept in s3")
print(s3.get_object(Bucket="things", Key="note")["Body"].read().decode())

host, port, token = open("/moat/aws/endpoint").read().split()
for shown in ("", token[:-1], "another-runs-token-0123456789abcdefghijklmn"):
    request = urllib.request.Request(f"http://{host}:{port}/_aws/credentials")
    if shown:
        request.add_header("Authorization", "Bearer " + shown)
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20)
    except urllib.error.HTTPError as error:
        print("refused with", error.code)

held = subprocess.run("/moat/aws/credentials", capture_output=True, text=True, check=True).stdout
print("mine are", held)  # to be blotted out of what is kept, and not of what is passed on
print("env", sorted(name for name in os.environ if name.startswith("AWS")))
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    server = Aws(tmp_path_factory.mktemp("aws"))
    yield server
    server.close()


@pytest.fixture
def person(moat, aws):
    """Who may assume the role."""
    aws.assumed.clear()
    aws.signed.clear()
    aws.refuse = ""
    moat.env = {name: value for name, value in moat.env.items() if not name.startswith("AWS_")} | aws.env
    return moat


def run(person, aws, workspace, *rest, name="agent", **options):
    flags = ("--no-ui", "run", "-n", name, "-g", "aws", *aws.flags())
    return person(*flags, *rest[:-1], workspace, "--", *rest[-1], **options)


@SANDBOXES
def test_the_sdk_works_with_credentials_of_minutes_and_nothing_keeps_them(person, aws, workspace, flags):
    person("grant", "aws", "--role", ROLE)
    command = ("python3", "-c", USE_S3)
    done = run(person, aws, workspace, "--policy", "strict", *SDK, *flags, command)
    out = done.stdout.decode()
    assert "kept in s3" in out
    assert out.count("refused with 401") == 3
    (held,) = re.findall(r"mine are (\{.*\})", out)
    held = json.loads(held)
    assert held["Version"] == 1

    # S3 saw the very credentials that STS gave, and the session is the run's
    info = person.run_named("agent")
    real = aws.assumed[-1]
    assert len(aws.assumed) == 2  # the trial at the grant, and one for all of the run
    assert real["RoleSessionName"] == f"moat-{info['id']}"
    assert (real["RoleArn"], real["DurationSeconds"]) == (ROLE, "900")
    assert aws.signed
    assert {token for _, _, token in aws.signed} == {held["SessionToken"]}
    assert all(held["AccessKeyId"] in authorization for _, authorization, _ in aws.signed)

    # every fetch is an audit entry, and so is every refusal
    entries = person.entries("agent")
    fetches = [e["data"] for e in entries if e["type"] == "credential"]
    assert fetches
    assert {(e["name"], e["action"], e["host"]) for e in fetches} == {("aws", "fetch", "127.0.0.1")}
    asked = [r for r in person.requests("agent") if r["url"] == "http://moat/_aws/credentials"]
    assert sum(r["decision"] == "denied" for r in asked) == 3
    assert sum(r["grant"] == "aws" for r in asked) == len(fetches)
    assert any(r["host"] == S3 or r["host"].endswith("." + S3) for r in person.requests("agent"))
    assert json.loads(person("audit", "agent", "--json").stdout)["valid"] is True

    # threats 30 and 31: no file of ours has a value, and the container had the person's own nowhere
    for value in (held["SecretAccessKey"], held["SessionToken"], OWN_SECRET):
        assert person.files_with(value) == []
    assert OWN_SECRET not in out
    assert "mine are" in person("logs", "agent").stdout.decode()
    (grant,) = person.json("grant", "list")
    assert (grant["account"], grant["last_used_run"]) == (ROLE, info["id"])


def test_each_tool_that_an_image_may_have_serves_the_helper(person, aws, workspace):
    """Every one alone on the PATH, as in images that have nothing else."""
    person("grant", "aws", "--role", ROLE, "--no-validate")
    (workspace / "agent.yaml").write_text("grants: [aws]\n")
    script = """
    for tool in curl python3 perl bash wget none; do
      mkdir -p /tmp/$tool
      at=$(command -v $tool) && ln -s "$at" /tmp/$tool/$tool
      if [ $tool = none ] || [ -e /tmp/$tool/$tool ]; then
        answer=$(PATH=/tmp/$tool /moat/aws/credentials 2>&1)
        echo "$tool $? $(printf %s "$answer" | cut -c1-60)"
      fi
    done
    """
    out = person("--no-ui", "run", "--no-sandbox", workspace, "--", "sh", "-c", script).stdout.decode()
    said = {line.split()[0]: line.split(maxsplit=2)[1:] for line in out.splitlines()}
    assert said.pop("none") == ["1", "moat: no AWS credentials: the image has none of curl, python"]
    assert {"curl", "python3", "perl", "bash"} <= said.keys()
    for tool, (code, answer) in said.items():
        assert (code, answer[:12]) == ("0", '{"Version":1'), tool
    assert len(aws.assumed) == 1  # the rest came from what is kept


def test_sts_that_refuses_is_said_inside_outside_and_in_the_log(person, aws, workspace):
    person("grant", "aws", "--role", ROLE, "--no-validate")
    aws.refuse = "ExpiredToken"
    script = "import boto3; boto3.client('s3').list_buckets()"
    command = ("python3", "-c", f"try:\n {script}\nexcept Exception as error:\n print(error)")
    done = run(person, aws, workspace, "--no-sandbox", *SDK, command)
    inside, outside = done.stdout.decode(), done.stderr.decode()
    assert "moat: no AWS credentials" in inside
    assert "ExpiredToken" in inside
    assert outside.count("this machine's own AWS credentials did not serve") == 1
    assert "aws sts get-caller-identity" in outside
    (asked,) = [r for r in person.requests("agent") if r["url"] == "http://moat/_aws/credentials"]
    assert asked["status_code"] == 500
    assert "ExpiredToken" in asked["error"]
    assert any("ExpiredToken" in e["data"].get("error", "") for e in person.entries("agent"))
    assert not any(e["type"] == "credential" for e in person.entries("agent"))


def test_what_is_granted_shown_and_revoked(person, aws, workspace, tmp_path):
    missing = person("run", "-g", "aws", workspace, "--", "true", check=False)
    assert "moat grant aws --role ARN" in missing.stderr.decode()
    aws.refuse = "AccessDenied"
    refused = person("grant", "aws", "--role", ROLE, check=False)
    assert refused.returncode == 125
    assert "AWS refused a session of the role" in refused.stderr.decode()
    assert person.json("grant", "list") == []
    aws.refuse = ""
    policy = tmp_path / "read-only.json"
    policy.write_text('{"Version": "2012-10-17", "Statement": []}')
    wishes = ("--region", "eu-west-1", "--session-duration", "1h", "--external-id", "ours")
    person("grant", "aws", "--role", ROLE, *wishes, "--policy", policy, "--profile", "review")
    asked = aws.assumed[-1]
    assert (asked["DurationSeconds"], asked["ExternalId"]) == ("3600", "ours")
    assert json.loads(asked["Policy"])["Statement"] == []
    shown = person("grant", "show", "aws", "--profile", "review").stdout.decode()
    assert "AWS (eu-west-1, 60 min, with a session policy)" in shown
    assert ROLE in shown
    assert (person.home / "credentials" / "profiles" / "review" / "aws.enc").stat().st_mode & 0o777 == 0o600
    assert person.files_with("123456789012") == []
    elsewhere = person("run", "-g", "aws", workspace, "--", "true", check=False)
    assert "no role is stored" in elsewhere.stderr.decode()
    person("revoke", "aws", "--profile", "review")
    assert person.json("grant", "list", "--all") == []


def test_threat_34_a_role_put_in_anothers_place_does_not_open(person, aws, workspace):
    person("grant", "aws", "--role", ROLE, "--no-validate")
    person.grant()
    store = person.home / "credentials"
    (store / "aws.enc").write_bytes((store / "github.enc").read_bytes())
    done = person("run", "-g", "aws", workspace, "--", "true", check=False)
    assert done.returncode == 125
    assert "aws.enc cannot be opened" in done.stderr.decode()
