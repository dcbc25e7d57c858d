"""Keeping credential values out of argv: such a word is refused, and never repeated on the screen."""

from __future__ import annotations

import re
from typing import NoReturn

import click

import engine

# Short and plain: what can be a provider's name and is no credential typed in its place.
_NAME_LIKE = re.compile(r"[a-z][a-z0-9.-]{0,19}(:[a-z0-9.-]{1,63})?")
_LIMITS = re.compile(r"(;(methods|paths|max_requests|expires_in)=[^;]*)*")
_OPTION_LIKE = re.compile(r"--?[a-z-]{1,20}")
_LEAST_VALUE = 12  # characters; no service gives out shorter ones
_WISHES = ("token", "key", "api-key", "value", "secret", "password", "with-token")


class NoValueCommand(click.Command):
    """A command that never repeats an argument it did not expect: it may be a credential."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            if not _OPTION_LIKE.fullmatch(name) or name.lstrip("-") in _WISHES:
                refuse_value()
            raise
        if ctx.args:
            refuse_value()
        return rest


def refuse_value() -> NoReturn:
    raise engine.UsageError(
        "only a provider and the options of `moat grant --help` go here, never a credential's value",
        remedy="Without a value it is asked for, hidden; --stdin reads it from a pipe. "
        "If you typed a credential, it is in your shell's history now: replace it.",
    )


def check_name(word: str) -> str:
    """`word` itself when a message may repeat it; raises UsageError, which does not, otherwise."""
    if not _NAME_LIKE.fullmatch(word):
        refuse_value()
    return word


def check_grant(word: str) -> str:
    """The same for what `run -g` names; what is too short for a credential is left to the engine."""
    name, semicolon, limits = word.partition(";")
    plain = _NAME_LIKE.fullmatch(name) and _LIMITS.fullmatch(semicolon + limits)
    if len(word) >= _LEAST_VALUE and not plain:
        raise engine.UsageError(
            "-g takes the name of a provider, never a credential's value",
            remedy="See the names: moat grant providers. "
            "If you typed a credential, it is in your shell's history now: replace it.",
        )
    return word
