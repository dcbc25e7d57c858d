"""`grant`, `revoke`: store a credential once; look at what is stored, never at its value."""

from __future__ import annotations

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import DefaultGroup, Invocation
from moat_tui.cli.credential_source import obtain
from moat_tui.cli.errors import OK, say
from moat_tui.cli.grant_aws import aws
from moat_tui.cli.grant_ssh import ssh
from moat_tui.cli.no_value import NoValueCommand, check_name


@click.command("grant", cls=NoValueCommand)
@options.provider_or_none
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the credential from stdin.")
@click.option("--no-validate", is_flag=True, help="Store it without asking the service whether it is good.")
@options.profile
@options.as_json
@click.pass_obj
def add(
    said: Invocation, provider: str, from_stdin: bool, no_validate: bool, profile: str, as_json: bool
) -> int:
    """Store the credential for PROVIDER, encrypted, so that runs can be given the use of it."""
    import asyncio

    wanted = known(said.home, provider)
    token, source = obtain(said.home, wanted, from_stdin=from_stdin)
    account = ""
    if not no_validate:
        account = asyncio.run(engine.validate_token(said.home, wanted.name, token))
    had_key_file = said.home.key_file.exists()
    stored = engine.save_grant(said.home, wanted.name, token, source=source, account=account, profile=profile)
    if said.home.key_file.exists() and not had_key_file:
        say(f"without a keychain the encryption key is in {said.home.key_file}, readable by you only")
    if as_json:
        output.write(output.json_page(stored))
        return OK
    output.line(f"{wanted.name}: taken from {source}" + (f", account {account}" if account else ""))
    output.line(f"stored encrypted in {place(said.home, wanted.name, profile)}")
    flag = f" --profile {profile}" if profile else ""
    say(f"use it: moat run -g {wanted.name}{flag} -- COMMAND")
    return OK


@click.command("list", short_help="List what is stored.")
@click.option("-a", "--all", "every", is_flag=True, help="Of every profile.")
@options.profile
@options.as_json
@click.pass_obj
def list_stored(said: Invocation, every: bool, profile: str, as_json: bool) -> int:
    """List the stored credentials: where each came from and which run used it last."""
    grants = engine.list_grants(said.home, None if every else profile)
    if as_json:
        output.write(output.json_page(grants))
        return OK
    if not grants:
        say("nothing is stored yet; begin with: moat grant github")
        return OK
    table = output.Columns(
        "PROVIDER", "PROFILE", "STATE", "ACCOUNT", "SOURCE", "EXPIRES", "LAST USED", "HOSTS",
        width=output.terminal_width(),
    )  # fmt: skip
    output.write(table.render([_row(grant) for grant in grants]))
    return OK


def _row(grant: engine.GrantInfo) -> tuple[str, ...]:
    used = f"{output.age(grant.last_used_at)} ago by {grant.last_used_run}" if grant.last_used_at else "-"
    return (
        grant.provider,
        grant.profile or "-",
        str(grant.state),
        grant.account or "-",
        grant.source or "-",
        grant.expires_at or "-",
        used,
        grant.problem or ",".join(grant.hosts) or "-",
    )


@click.command(cls=NoValueCommand, short_help="Show what is known of one, never its value.")
@options.provider
@options.profile
@options.as_json
@click.pass_obj
def show(said: Invocation, provider: str, profile: str, as_json: bool) -> int:
    """Show one stored credential: everything but its value."""
    for grant in engine.list_grants(said.home, profile):
        if grant.provider == provider:
            break
    else:
        raise nothing_stored(provider, profile)
    if as_json:
        output.write(output.json_page(grant))
        return OK
    facts = {
        "provider": grant.provider,
        "title": grant.title,
        "profile": grant.profile,
        "state": str(grant.state) + (f" ({grant.problem})" if grant.problem else ""),
        "hosts": ", ".join(grant.hosts),
        "account": grant.account,
        "source": grant.source,
        "stored": grant.created_at,
        "expires": grant.expires_at,
        **{name.replace("_", " "): ", ".join(text.splitlines()) for name, text in grant.settings.items()},
        "last used": f"{grant.last_used_at} by {grant.last_used_run}" if grant.last_used_at else "",
        "in a run": ", ".join(f"{name}={value}" for name, value in grant.env.items()),
        "file": place(said.home, grant.provider, grant.profile),
    }
    width = max(10, *map(len, facts))
    for name, text in facts.items():
        if text:
            output.line(f"{name:<{width}} {text}")
    return OK


@click.command(short_help="List what can be stored.")
@options.as_json
@click.pass_obj
def providers(said: Invocation, as_json: bool) -> int:
    """List the providers a credential can be stored for, and where each is looked for first.

    Your own are the files ~/.moat/providers/*.yaml; one with a mistake is named and left out.
    """
    table = sorted([*engine.list_providers(said.home), _SSH], key=lambda provider: provider.name)
    for problem in engine.provider_problems(said.home):
        say(f"left out: {problem}")
    if as_json:
        output.write(output.json_page(table))
        return OK
    width = output.terminal_width()
    columns = output.Columns("PROVIDER", "FROM", "SOURCES", "HOSTS", "TITLE", width=width)
    output.write(columns.render([_provider_row(provider) for provider in table]))
    return OK


# What its own command gives, for each host; the table has no row for it.
_SSH = engine.ProviderInfo(
    "ssh:HOST", "SSH logins", ("HOST",), "", ("ssh-agent",), {"SSH_AUTH_SOCK": "/run/moat/ssh/agent.sock"}
)


def _provider_row(provider: engine.ProviderInfo) -> tuple[str, ...]:
    origin = "providers/" + provider.origin.rpartition("/")[2] if provider.origin else "built in"
    sources = ", ".join(provider.sources) or ("--role ARN" if provider.name == "aws" else "-")
    hosts = ", ".join(provider.hosts) or "those of your .npmrc"
    return provider.name, origin, sources, hosts, provider.title


@click.command(cls=NoValueCommand, short_help="Forget a stored credential.")
@options.provider
@options.profile
@options.as_json
@click.pass_obj
def revoke(said: Invocation, provider: str, profile: str, as_json: bool) -> int:
    """Remove the stored credential for PROVIDER. At the service itself it stays valid.

    \b
      moat revoke github
      moat revoke github --profile work
    """
    check_name(provider)
    if not engine.revoke_grant(said.home, provider, profile):
        raise nothing_stored(provider, profile)
    if as_json:
        output.write(output.json_page({"provider": provider, "profile": profile, "revoked": True}))
    else:
        output.line(f"{provider}: the stored credential is removed")
        say("it is still valid at the service; revoke it there too if it may have leaked")
        for run in engine.list_runs(said.home):
            if not run.state.ended and provider in run.providers and run.profile == profile:
                say(f"{run.name} has it until it ends: moat stop {run.id}")
    return OK


def known(home: engine.Home, name: str) -> engine.ProviderInfo:
    """The provider called `name`; raises UsageError, which repeats only what looks like a name."""
    table = {provider.name: provider for provider in engine.list_providers(home)}
    if name in table:
        return table[name]
    if name:
        check_name(name)
    from difflib import get_close_matches

    for problem in engine.provider_problems(home):
        if name and problem.key == name:
            raise problem
    near = get_close_matches(name, table, n=1)
    raise engine.UsageError(
        f"there is no provider {name!r}" if name else "no provider is named",
        remedy=f"Did you mean {near[0]!r}?" if near else "See them all: moat grant providers",
    )


def place(home: engine.Home, provider: str, profile: str) -> str:
    """Where the sealed file is (formats.md, "Credential file")."""
    folder = home.credentials / "profiles" / profile if profile else home.credentials
    return str(folder / ("ssh.json" if provider.startswith("ssh:") else f"{provider}.enc"))


def nothing_stored(provider: str, profile: str) -> engine.MoatError:
    check_name(provider)
    where = f" in profile {profile}" if profile else ""
    return engine.MoatError(
        f"no credential for {provider} is stored{where}", remedy="See what is: moat grant list --all"
    )


grant = DefaultGroup(
    name="grant",
    default=add,
    usage="PROVIDER [--stdin] [--no-validate] [--profile NAME]  |  aws --role ARN  |  ssh --host HOST"
    "  |  list  |  show PROVIDER  |  providers",
    commands={"list": list_stored, "show": show, "providers": providers, "aws": aws, "ssh": ssh},
    short_help="Store a credential; list and show what is stored.",
    help="""Store the credential for PROVIDER, encrypted, so that runs can be given the use of it.

It is taken from the provider's environment variables or its own tool (for github: GITHUB_TOKEN,
GH_TOKEN, then `gh auth token`), else asked for, hidden. It is never an argument, and never printed.

\b
  moat grant github
  pass show github | moat grant github --stdin
  moat grant anthropic --profile work
  moat grant aws --role arn:aws:iam::123456789012:role/agent
  moat grant ssh --host github.com
  moat grant list
""",
)
