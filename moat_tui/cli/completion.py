"""What a shell asks when Tab is pressed: `eval "$(_MOAT_COMPLETE=bash_source moat)"` turns it on.

It answers with nothing rather than an error: whatever is printed here lands in a half-typed line.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, shell_complete

import engine
from moat_tui.cli.argv import Invocation


def complete(root: click.Command, said: Invocation, instruction: str) -> int:
    """Answer `instruction` (`bash_source`, `bash_complete` …); returns the exit code."""
    try:
        return shell_complete(root, {"obj": said}, "moat", "_MOAT_COMPLETE", instruction)
    except (click.ClickException, engine.MoatError, OSError):
        return 1


def runs(ctx: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names and ids of runs, newest first."""
    found = engine.list_runs(_home(ctx))
    words = dict.fromkeys([*(run.name for run in found), *(run.id for run in found)])
    return [CompletionItem(word) for word in words if word.startswith(begun)]


def providers(ctx: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of all providers."""
    found = engine.list_providers(_home(ctx))
    return [CompletionItem(provider.name) for provider in found if provider.name.startswith(begun)]


def grants(ctx: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """As providers, with their scopes: github, github:ro."""
    words = [
        word
        for provider in engine.list_providers(_home(ctx))
        for word in (provider.name, *(f"{provider.name}:{scope}" for scope in provider.scopes))
    ]
    return [CompletionItem(word) for word in words if word.startswith(begun)]


def _home(ctx: click.Context) -> engine.Home:
    said = ctx.find_object(Invocation)
    return said.home if said is not None else engine.Home.default()
