"""AssumeRole against a real STS server, and what is said when it refuses."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta

import pytest
from support.aws import OWN_SECRET, ROLE, Aws

from engine.aws import assume_role, check_aws_role
from engine.errors import GrantError


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Aws(tmp_path_factory.mktemp("aws"))
    yield server
    server.close()


@pytest.fixture
def aws(server, monkeypatch):
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    server.assumed.clear()
    server.refuse = ""
    return server


def test_everything_that_was_granted_is_asked_for(aws):
    policy = '{"Version":"2012-10-17","Statement":[]}'
    role = check_aws_role(ROLE, session_duration="1h", external_id="ours", policy=policy)
    held = assume_role(role, "moat-run_1")
    (asked,) = aws.assumed
    assert asked["Action"] == "AssumeRole"
    assert asked["RoleArn"] == ROLE
    assert asked["RoleSessionName"] == "moat-run_1"
    assert (asked["DurationSeconds"], asked["ExternalId"], asked["Policy"]) == ("3600", "ours", policy)
    assert timedelta(minutes=55) < held.expires_at - datetime.now(UTC) <= timedelta(hours=1)
    assert held.host == "127.0.0.1"
    assert all(held.secrets)
    assume_role(check_aws_role(ROLE), "moat-run_1")
    assert "ExternalId" not in aws.assumed[1]
    assert aws.assumed[1]["DurationSeconds"] == "900"


@pytest.mark.parametrize(
    ("code", "said", "remedy"),
    [
        ("AccessDenied", "AWS refused a session of the role", "trust this machine"),
        ("ExpiredToken", "this machine's own AWS credentials", "aws sts get-caller-identity"),
        ("ValidationError", "gave no session", "longest session"),
    ],
)
def test_each_refusal_says_whose_turn_it_is(aws, code, said, remedy):
    aws.refuse = code
    with pytest.raises(GrantError, match=said) as raised:
        assume_role(check_aws_role(ROLE), "moat-run_1")
    assert ROLE in raised.value.what
    assert code in raised.value.detail
    assert remedy in raised.value.remedy
    assert OWN_SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_profile_that_is_not_there_and_no_credentials(aws, monkeypatch):
    with pytest.raises(GrantError, match="own AWS credentials") as raised:
        assume_role(check_aws_role(ROLE, profile="nobody"), "moat-run_1")
    assert "--profile nobody" in raised.value.remedy
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(GrantError, match="own AWS credentials"):
        assume_role(check_aws_role(ROLE), "moat-run_1")


def test_sts_cannot_be_reached(aws, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with pytest.raises(GrantError, match="cannot be reached"):
        assume_role(check_aws_role(ROLE), "moat-run_1")


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)
    with pytest.raises(GrantError, match="needs boto3") as raised:
        assume_role(check_aws_role(ROLE), "moat-run_1")
    assert "moat[aws]" in raised.value.remedy
