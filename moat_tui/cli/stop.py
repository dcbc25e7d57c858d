"""`stop`, `destroy`, `clean`: end runs and remove what they leave."""

from __future__ import annotations

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import OK, say
from moat_tui.cli.leftovers import reap
from moat_tui.cli.prompts import confirm, person_there


@click.command(short_help="Stop a run.")
@options.which_run
@click.option("--kill", is_flag=True, help="Do not wait for the agent to end by itself.")
@options.as_json
@click.pass_obj
def stop(said: Invocation, run: str, kill: bool, as_json: bool) -> int:
    """Stop a run: the agent gets 10 seconds to end by itself, then it is killed.

    RUN is an id, the start of one, or a name; the latest run when left out.

    \b
      moat stop
      moat stop --kill swift-otter
    """
    import asyncio

    reap(said.home)
    found = engine.find_run(said.home, run)
    if not found.state.ended:
        found = asyncio.run(engine.stop_run(said.home, found.id, kill=kill))
    else:
        say(f"{found.name} ({found.id}) had ended before")
    if as_json:
        output.write(output.json_page(found))
    else:
        output.line(f"{found.name} {found.id} {found.state}")
    return OK


@click.command(short_help="Remove a run and everything recorded about it.")
@options.which_run
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@options.as_json
@click.pass_obj
def destroy(said: Invocation, run: str, yes: bool, as_json: bool) -> int:
    """Remove an ended run with its logs, requests, snapshots and audit log. A live run is refused.

    RUN is an id, the start of one, or a name; the latest run when left out. On a terminal it asks first;
    without one RUN has to be named, or --yes given.

    \b
      moat destroy swift-otter
      moat destroy -y run_3f
    """
    import asyncio

    reap(said.home)
    if not run and not yes and not person_there():
        raise engine.UsageError(
            "destroy without a run named would remove the latest", remedy="Name the run, or add --yes."
        )
    found = engine.find_run(said.home, run)
    if not found.state.ended:
        raise engine.MoatError(
            f"{found.name} ({found.id}) is {found.state}", remedy=f"Stop it first: moat stop {found.id}"
        )
    if not yes and person_there() and not confirm(f"remove {found.name} ({found.id}) and its audit log?"):
        raise engine.MoatError("nothing was removed")
    asyncio.run(engine.destroy_run(said.home, found.id))
    if as_json:
        output.write(output.json_page({"id": found.id, "name": found.name, "destroyed": True}))
    else:
        output.line(f"{found.name} {found.id} destroyed")
    return OK


@click.command(short_help="Remove what dead or ended runs left in the machine.")
@options.as_json
@click.pass_obj
def clean(said: Invocation, as_json: bool) -> int:
    """Remove what dead or ended runs left: containers, networks, images that are used no more. Logs stay.

    \b
      moat clean
    """
    import asyncio

    done = asyncio.run(engine.clean(said.home))
    if as_json:
        output.write(output.json_page({"done": done}))
        return OK
    for text in done:
        output.line(text)
    if not done:
        say("there was nothing to remove")
    return OK
