"""Options and arguments that several commands share, so that they read and behave alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

HELP_NAMES = ["-h", "--help"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
as_json_lines = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


def complete_runs(ctx: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    from moat_tui.cli import completion

    return completion.runs(ctx, option, begun)


def _providers(ctx: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    from moat_tui.cli import completion

    return completion.providers(ctx, option, begun)


def _grants(ctx: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    from moat_tui.cli import completion

    return completion.grants(ctx, option, begun)


which_run = click.argument("run", default="", metavar="[RUN]", shell_complete=complete_runs)
provider = click.argument("provider", metavar="PROVIDER", shell_complete=_providers)
provider_or_none = click.argument("provider", metavar="PROVIDER", default="", shell_complete=_providers)
grants = click.option(
    "-g", "--grant", "grants", multiple=True, metavar="PROVIDER[:SCOPE]", shell_complete=_grants,
    help="Let the agent use this credential, or a scope of it (github:ro); repeatable, commas allowed.",
)  # fmt: skip
no_grants = click.option(
    "--no-grant", "without_grants", multiple=True, metavar="PROVIDER", shell_complete=_providers,
    help="Do not give this credential, though agent.yaml asks for it; repeatable.",
)  # fmt: skip
profile = click.option(
    "--profile",
    default="",
    envvar="MOAT_PROFILE",
    metavar="NAME",
    help="Use the credentials of this profile.  [env: MOAT_PROFILE]",
)
follow = click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")


class _Count(click.IntRange):
    name = "number"  # what click calls it in "'x' is not a valid …"


last_lines = click.option(
    "-n", "--lines", type=_Count(min=0), metavar="N", help="Begin N lines before the end."
)
