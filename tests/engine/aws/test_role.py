"""What is stored of a role, and what is refused before AWS has to."""

from __future__ import annotations

import pytest
from support.aws import ROLE

from engine.aws import check_aws_role, metadata_of, read_aws_policy, role_of
from engine.errors import UsageError


def test_a_role_comes_back_as_it_was_stored():
    role = check_aws_role(
        ROLE, region="eu-west-1", session_duration="1h30m", external_id="ours/7", profile="dev", policy="{}"
    )
    assert role.session_duration == 5400
    assert role_of(role.arn, metadata_of(role)) == role
    assert metadata_of(check_aws_role(ROLE)) == {"region": "us-east-1", "session_duration": "900s"}
    assert role_of(ROLE, {}) == check_aws_role(ROLE)
    assert role_of(ROLE, {"session_duration": "15m0s"}).session_duration == 900  # as Go writes it


@pytest.mark.parametrize(
    "arn", ["", "agent", "arn:aws:iam::12:role/x", ROLE + "\nx", ROLE.replace("role", "user")]
)
def test_what_is_no_role(arn):
    with pytest.raises(UsageError, match="not the ARN of a role"):
        check_aws_role(arn)


@pytest.mark.parametrize(
    "field",
    [
        {"session_duration": "14m"},
        {"session_duration": "13h"},
        {"session_duration": "soon"},
        {"region": "us-east-1\ncredential_process = /bin/sh"},
        {"region": "amazonaws.com"},
        {"external_id": "a b"},
        {"profile": "a\nb"},
    ],
)
def test_what_aws_would_refuse(field):
    with pytest.raises(UsageError):
        check_aws_role(ROLE, **field)


def test_requests_of_a_chinese_role_go_to_chinese_hosts():
    assert check_aws_role(ROLE).hosts == ("*.amazonaws.com",)
    assert check_aws_role(ROLE.replace("arn:aws:", "arn:aws-cn:")).hosts == ("*.amazonaws.com.cn",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "no IAM policy"),
        ("{}", "no Statement"),
        ('{"Statement": "' + "x" * 2100 + '"}', "at most 2048"),
    ],
)
def test_a_session_policy_is_read_before_it_is_sent(tmp_path, text, said):
    file = tmp_path / "policy.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_aws_policy(file)
    file.write_text('{ "Version": "2012-10-17",\n "Statement": [] }')
    assert read_aws_policy(file) == '{"Version":"2012-10-17","Statement":[]}'
    with pytest.raises(UsageError, match="cannot be read"):
        read_aws_policy(tmp_path / "none")
