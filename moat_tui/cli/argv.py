"""What click does not do: a command behind `--`, words that are either a subcommand or an argument."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import click

import engine


@dataclass
class Invocation:
    """What the whole command line says, for every command to read as `ctx.obj`.

    command: what stood behind the first `--`, None without one.
    headless: `--no-ui` was given.
    name: the command being carried out, for messages.
    """

    command: tuple[str, ...] | None = None
    headless: bool = False
    name: str = "moat"

    @cached_property
    def home(self) -> engine.Home:
        home = engine.Home.default()
        if home.root.exists() and not home.root.is_dir():
            raise engine.MoatError(
                f"{home.root} is a file; Moat keeps its files in a directory",
                remedy="Point MOAT_HOME at a directory of your own.",
            )
        return home


def split_command(argv: Sequence[str]) -> tuple[list[str], tuple[str, ...] | None]:
    """Moat's own words and the agent's command, which is whatever follows the first `--`, untouched."""
    words = list(argv)
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], tuple(words[at + 1 :])


def check_text(argv: Sequence[str]) -> None:
    """Refuse arguments that are not UTF-8: they could not be written down exactly."""
    for position, word in enumerate(argv, 1):
        try:
            word.encode()
        except UnicodeEncodeError:
            raise engine.UsageError(f"argument {position} is not valid UTF-8") from None


_WITH_COMMAND = ("run", "exec")


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called.

    places: name -> "module:attribute", in the order of the help.
    """

    def __init__(self, *args: object, places: dict[str, str], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._places.get(cmd_name)
        if place is None:
            raise click.NoSuchCommand(cmd_name, possibilities=self._places, ctx=ctx)
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        said = ctx.find_object(Invocation)
        if said is not None:
            said.name = name or said.name
            if said.command is not None and name not in _WITH_COMMAND:
                raise engine.UsageError(
                    f"moat {name} takes no command after --",
                    remedy="Only moat run and moat exec do: moat run [PATH] -- COMMAND",
                )
        return name, command, rest


class DefaultGroup(click.Group):
    """`moat audit RUN` beside `moat audit verify FILE`: a subcommand's name wins, all else is `default`'s.

    The first word that is not an option decides, wherever options stand; a run called like a
    subcommand is named by its id.
    """

    def __init__(self, *args: object, default: click.Command, usage: str, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.default = default
        self._usage = usage
        self._with_value = {
            name
            for option in default.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        word = self._first_word(args)
        if word is not None and args[word] in self.commands:
            args = [args[word], *args[:word], *args[word + 1 :]]
        elif set(args) & set(ctx.help_option_names):
            args = ctx.help_option_names[:1]  # one page says it all
        else:
            args = ["", *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.default if cmd_name == "" else super().get_command(ctx, cmd_name)

    def _first_word(self, args: list[str]) -> int | None:
        is_value = False
        for index, word in enumerate(args):
            if is_value:
                is_value = False
            elif word in self._with_value:
                is_value = True
            elif not word.startswith("-") or word == "-":
                return index
        return None

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [self._usage]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.default.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)
