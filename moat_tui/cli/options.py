"""Options and arguments that several commands share, so that they read and behave alike."""

from __future__ import annotations

import click

HELP_NAMES = ["-h", "--help"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
as_json_lines = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
which_run = click.argument("run", default="", metavar="[RUN]")
profile = click.option(
    "--profile",
    default="",
    envvar="MOAT_PROFILE",
    metavar="NAME",
    help="Use the credentials of this profile.  [env: MOAT_PROFILE]",
)
follow = click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
last_lines = click.option(
    "-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Begin N lines before the end."
)
