"""`grant ssh`: which host, with which of the person's own keys; the keys stay where they are."""

from __future__ import annotations

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import OK, say
from moat_tui.cli.no_value import NoValueCommand
from moat_tui.cli.prompts import chosen, confirm, person_there


@click.command(cls=NoValueCommand, short_help="Let runs log in to a host with a key of your SSH agent.")
@click.option("--host", required=True, metavar="HOST[:PORT]", help="The server, e.g. github.com.")
@click.option("--key", default="", metavar="FINGERPRINT", help="Which key, as ssh-add -l prints it.")
@options.profile
@options.as_json
@click.pass_obj
def ssh(said: Invocation, host: str, key: str, profile: str, as_json: bool) -> int:
    """Let runs log in to HOST with one key of your SSH agent. Keys never leave the agent.

    The server is known by its host keys: those of your known_hosts, or, where it is not there, those that it
    shows now, once you agreed to them. A run then names the grant ssh:HOST.

    \b
      moat grant ssh --host github.com
      moat grant ssh --host git.example.com:2222 --key SHA256:…
      moat run -g ssh:github.com -- git clone git@github.com:me/project
    """
    import asyncio

    offer = asyncio.run(engine.find_ssh(said.home, host))
    if not offer.pinned:
        _agree(offer)
    stored = engine.save_ssh_grant(said.home, offer, key or _choose(offer), profile)
    if as_json:
        output.write(output.json_page(stored))
        return OK
    output.line(f"{stored.provider}: key {stored.account}")
    for known in offer.host_keys:
        output.line(f"the server is known by {known.kind} {known.fingerprint}")
    flag = f" --profile {profile}" if profile else ""
    say(f"use it: moat run -g {stored.provider}{flag} -- COMMAND")
    return OK


def _agree(offer: engine.SshOffer) -> None:
    """Put the keys of a host that is in no known_hosts to a person; nothing is pinned unseen."""
    shown = ", ".join(f"{key.kind} {key.fingerprint}" for key in offer.host_keys)
    if not person_there():
        raise engine.MoatError(
            f"{offer.host} is not in your known_hosts; it shows {shown}",
            remedy="Compare that with what its owner says, connect once with "
            f"`ssh {offer.host}`, then grant it.",
        )
    say(f"{offer.host} is not in your known_hosts. It shows:")
    for key in offer.host_keys:
        say(f"  {key.kind} {key.fingerprint}")
    if not confirm("is that what its owner says?"):
        raise engine.MoatError("nothing was granted: the server's keys were not agreed to")


def _choose(offer: engine.SshOffer) -> str:
    if len(offer.keys) == 1:
        return offer.keys[0].fingerprint
    lines = [f"{key.fingerprint} {key.kind} {key.comment}" for key in offer.keys]
    if not person_there():
        raise engine.UsageError(
            f"your SSH agent holds {len(lines)} keys", remedy="Choose one with --key; ssh-add -l lists them."
        )
    return offer.keys[chosen("which key shall log in there?", lines)].fingerprint
