import click
import pytest

import engine
from moat_tui.cli.argv import DefaultGroup, check_text, split_command


@pytest.mark.parametrize(
    ("argv", "words", "command"),
    [
        (["list"], ["list"], None),
        (["run", "--", "true"], ["run"], ("true",)),
        (["run", ".", "--", "sh", "-c", "x"], ["run", "."], ("sh", "-c", "x")),
        (["run", "--", "git", "log", "--", "f"], ["run"], ("git", "log", "--", "f")),
        (["run", "--"], ["run"], ()),
        (["--", "run"], [], ("run",)),
    ],
)
def test_the_first_double_dash_divides(argv, words, command):
    assert split_command(argv) == (words, command)


def test_an_argument_that_is_not_text_is_refused_by_its_place():
    with pytest.raises(engine.UsageError, match="argument 2"):
        check_text(["run", "caf\udce9"])


def _group(called: list[str]) -> DefaultGroup:
    @click.command("default")
    @click.argument("word", default="")
    @click.option("--export")
    @click.option("--json", "as_json", is_flag=True)
    def default(word: str, export: str | None, as_json: bool) -> None:
        called.append(f"default {word} {export} {as_json}")

    @click.command()
    @click.argument("file")
    @click.option("--json", "as_json", is_flag=True)
    def verify(file: str, as_json: bool) -> None:
        called.append(f"verify {file} {as_json}")

    return DefaultGroup(name="g", default=default, usage="", commands={"verify": verify})


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], "default  None False"),
        (["x"], "default x None False"),
        (["--json", "x"], "default x None True"),
        (["--export", "verify", "x"], "default x verify False"),
        (["--export", "f"], "default  f False"),
        (["--export=verify"], "default  verify False"),
        (["verify", "f"], "verify f False"),
        (["--json", "verify", "f"], "verify f True"),
        (["verify", "verify", "--json"], "verify verify True"),
    ],
)
def test_the_first_word_decides_between_subcommand_and_default(args, expected):
    called: list[str] = []
    group = _group(called)
    with group.make_context("g", list(args)) as ctx:
        group.invoke(ctx)
    assert called == [expected]
