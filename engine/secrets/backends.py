"""Where secrets are read: 1Password's own tool, AWS's library or tool, and the environment.

Every function blocks, returns the value as it was given, and raises SecretError naming the reference.
What a tool says on stderr is repeated, because it says what to do; what it says on stdout never is.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping

from engine.config.secret_reference import Reference
from engine.errors import SecretError

TIMEOUT = 60.0  # seconds; 1Password may wait for a finger on a sensor
_SAID = 300  # characters of a tool's own explanation


def read_secret(reference: Reference, environ: Mapping[str, str] = os.environ) -> str:
    match reference.backend:
        case "op":
            return _from_tool(reference, ["op", "read", "--no-newline", reference.name], environ)
        case "ssm":
            return _parameter(reference, environ)
        case "env":
            return _variable(reference, environ)


def _variable(reference: Reference, environ: Mapping[str, str]) -> str:
    value = environ.get(reference.name)
    if value is None:
        raise SecretError(
            f"the secret {reference} could not be read: there is no such variable here",
            remedy=f"Set {reference.name} where Moat is started.",
        )
    return value


def _parameter(reference: Reference, environ: Mapping[str, str]) -> str:
    if importlib.util.find_spec("boto3") is None:
        region = ["--region", reference.region] if reference.region else []
        command = ["aws", "ssm", "get-parameter", "--with-decryption", "--name", reference.name]
        output = ["--query", "Parameter.Value", "--output", "text"]
        return _from_tool(reference, [*command, *output, *region], environ)
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=10, read_timeout=20, retries={"total_max_attempts": 3})
    try:
        client = boto3.Session(region_name=reference.region or None).client("ssm", config=config)
        answer = client.get_parameter(Name=reference.name, WithDecryption=True)
        return str(answer["Parameter"]["Value"])
    except (BotoCoreError, ClientError) as error:
        raise SecretError(
            f"the secret {reference} could not be read from AWS Parameter Store",
            detail=" ".join(str(error).split())[:_SAID],
            remedy="Check the path, and that this machine's AWS credentials may read it "
            "(aws ssm get-parameter); another region is written ssm://REGION/PATH.",
        ) from None  # the library's own traceback may hold its request


def _from_tool(reference: Reference, command: list[str], environ: Mapping[str, str]) -> str:
    tool, remedy = _TOOLS[command[0]]
    program = shutil.which(command[0], path=environ.get("PATH", os.defpath))
    if program is None:
        raise SecretError(
            f"the secret {reference} could not be read: {tool} ({command[0]}) is not installed",
            remedy=f"Install it, then: {remedy}",
        )
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dict(environ),
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SecretError(
            f"the secret {reference} could not be read: {tool} gave no answer within {TIMEOUT:g} s",
            remedy=f"Try it by hand: {command[0]} {' '.join(command[1:3])} …",
        ) from None
    except OSError as error:
        raise SecretError(
            f"the secret {reference} could not be read: {tool} could not be started",
            detail=error.strerror or "",
            remedy=f"Check {program}.",
        ) from None
    if done.returncode != 0:
        raise SecretError(
            f"the secret {reference} could not be read: {tool} refused",
            detail=" ".join(done.stderr.decode("utf-8", "replace").split())[:_SAID],
            remedy=f"Check the reference, and sign in: {remedy}",
        )
    try:
        return done.stdout.decode()
    except UnicodeDecodeError:
        raise SecretError(f"the secret {reference} is not text") from None


_TOOLS = {
    "op": ("the 1Password command line", "op signin"),
    "aws": ("the AWS command line", "aws sso login, or aws configure"),
}
