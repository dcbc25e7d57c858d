"""Each backend against its counterpart: a scripted `op`, a real Parameter Store server, the environment."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from engine.config.secret_reference import parse_reference
from engine.errors import SecretError
from engine.secrets.backends import read_secret

CANARY = "secret-that-no-error-may-hold"


def tool(directory: Path, name: str, script: str) -> dict[str, str]:
    """An environment whose PATH has a program `name`."""
    file = directory / name
    file.write_text("#!/bin/sh\n" + script)
    file.chmod(0o755)
    return {"PATH": f"{directory}:/usr/bin:/bin"}


def test_op_is_asked_for_the_reference(tmp_path):
    said = tmp_path / "said"
    environ = tool(tmp_path, "op", f'echo "$@" > {said}\nprintf {CANARY}\n')
    assert read_secret(parse_reference("op://Work/db/admin password"), environ) == CANARY
    assert said.read_text() == "read --no-newline op://Work/db/admin password\n"


def test_ops_own_words_are_told_and_what_it_printed_is_not(tmp_path):
    environ = tool(tmp_path, "op", f'printf {CANARY}; echo "[ERROR] you are not signed in" >&2; exit 1')
    with pytest.raises(SecretError) as raised:
        read_secret(parse_reference("op://Work/db/password"), environ)
    assert "not signed in" in str(raised.value)
    assert "op://Work/db/password" in str(raised.value)
    assert "op signin" in str(raised.value)
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(("reference", "missing"), [("op://a/b/c", "(op)"), ("ssm:///a", "(aws)")])
def test_a_tool_that_is_not_there(tmp_path, monkeypatch, reference, missing):
    without_boto3(monkeypatch)
    with pytest.raises(SecretError, match="is not installed") as raised:
        read_secret(parse_reference(reference), {"PATH": str(tmp_path)})
    assert missing in str(raised.value)


def test_bytes_that_are_no_text(tmp_path):
    environ = tool(tmp_path, "op", "printf '\\377\\376'")
    with pytest.raises(SecretError, match="is not text"):
        read_secret(parse_reference("op://a/b/c"), environ)


def test_a_variable_of_this_environment():
    assert read_secret(parse_reference("env://DB_URL"), {"DB_URL": CANARY}) == CANARY
    with pytest.raises(SecretError, match="no such variable"):
        read_secret(parse_reference("env://DB_URL"), {})


def test_the_aws_command_stands_in_where_the_library_is_not(tmp_path, monkeypatch):
    without_boto3(monkeypatch)
    said = tmp_path / "said"
    environ = tool(tmp_path, "aws", f'echo "$@" > {said}\necho {CANARY}\n')
    assert read_secret(parse_reference("ssm://eu-west-1/prod/db"), environ).strip() == CANARY
    words = said.read_text().split()
    assert words[:2] == ["ssm", "get-parameter"]
    assert "--with-decryption" in words
    assert words[words.index("--name") + 1] == "/prod/db"
    assert words[words.index("--region") + 1] == "eu-west-1"


def without_boto3(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "boto3" else found(name, *more)
    )


@pytest.fixture(scope="module")
def parameter_store():
    """A Parameter Store on loopback with `/prod/db` in us-east-1 and another value in eu-west-1."""
    import boto3
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "AWS_PROFILE",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "HTTP_PROXY",
            "HTTPS_PROXY",
        ):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL_SSM", f"http://{host}:{port}")
        for region, value in (("us-east-1", CANARY), ("eu-west-1", "the other region's")):
            client = boto3.client("ssm", region_name=region)
            client.put_parameter(Name="/prod/db", Value=value, Type="SecureString")
        yield
        server.stop()


@pytest.mark.usefixtures("parameter_store")
def test_parameters_are_decrypted_in_their_region():
    assert read_secret(parse_reference("ssm:///prod/db")) == CANARY
    assert read_secret(parse_reference("ssm://eu-west-1/prod/db")) == "the other region's"


@pytest.mark.usefixtures("parameter_store")
def test_a_parameter_that_is_not_there():
    with pytest.raises(SecretError) as raised:
        read_secret(parse_reference("ssm:///prod/nothing"))
    assert "ssm:///prod/nothing" in str(raised.value)
    assert "ParameterNotFound" in raised.value.detail
    assert raised.value.__cause__ is None
