"""`grant aws`: which role runs may have temporary credentials of, for how long, and narrowed how."""

from __future__ import annotations

from pathlib import Path

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import OK, say
from moat_tui.cli.no_value import NoValueCommand


@click.command(cls=NoValueCommand, short_help="Let runs have temporary credentials of an AWS role.")
@click.option("--role", required=True, metavar="ARN", help="The role: arn:aws:iam::ACCOUNT:role/NAME.")
@click.option("--region", default="", metavar="REGION", help="Where to work.  [default: us-east-1]")
@click.option(
    "--session-duration",
    default="",
    metavar="TIME",
    help="How long credentials last, 15m to 12h.  [default: 15m]",
)
@click.option("--external-id", default="", metavar="ID", help="The external ID that the role wants.")
@click.option(
    "--aws-profile", default="", metavar="NAME", help="The profile of ~/.aws to assume the role with."
)
@click.option(
    "--policy",
    default="",
    metavar="FILE",
    help="A session policy (JSON): runs may do no more.",
)
@click.option("--no-validate", is_flag=True, help="Store it without assuming the role once.")
@options.profile
@options.as_json
@click.pass_obj
def aws(
    said: Invocation,
    role: str,
    region: str,
    session_duration: str,
    external_id: str,
    aws_profile: str,
    policy: str,
    no_validate: bool,
    profile: str,
    as_json: bool,
) -> int:
    """Let runs have temporary credentials of an AWS role, which this machine's AWS credentials may assume.

    Those stay here: a run asks for its own when it needs them, and gets new ones shortly before they expire.

    \b
      moat grant aws --role arn:aws:iam::123456789012:role/agent
      moat grant aws --role ARN --region eu-west-1 --policy read-only.json --profile review
      moat run -g aws -- aws s3 ls
    """
    import asyncio

    wanted = engine.check_aws_role(
        role,
        region=region,
        session_duration=session_duration,
        external_id=external_id,
        profile=aws_profile,
        policy=engine.read_aws_policy(Path(policy)) if policy else "",
    )
    if not no_validate:
        asyncio.run(engine.validate_aws_role(wanted))
    stored = engine.save_aws_grant(said.home, wanted, profile)
    if as_json:
        output.write(output.json_page(stored))
        return OK
    output.line(f"aws: {stored.account}, assumed with {stored.source}")
    if not wanted.policy:
        say("runs may do whatever the role may; --policy FILE narrows that")
    flag = f" --profile {profile}" if profile else ""
    say(f"use it: moat run -g aws{flag} -- COMMAND")
    return OK
