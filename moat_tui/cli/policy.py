"""`policy suggest` and `policy test`: from what runs did to a policy, and what a policy would have done."""

from __future__ import annotations

from pathlib import Path

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import OK, say

WOULD_DENY = 1


@click.group(short_help="Find the least policy that past runs needed.")
def policy() -> None:
    """Find the least network policy that past runs needed, and try one on them.

    \b
      moat policy suggest nightly
      moat policy test agent.yaml nightly reviewer
    """


@policy.command(short_help="Propose the strict policy that a run would have needed.")
@options.which_run
@options.as_json
@click.pass_obj
def suggest(said: Invocation, run: str, as_json: bool) -> int:
    """Print agent.yaml's `network:` for the strict policy that RUN would have needed.

    RUN is an id, the start of one, or a name; the latest when left out. Read it before you use it: paths
    are generalised, and what the run did was not necessarily what it should have done.
    """
    import yaml

    suggestion = engine.suggest_policy(said.home, engine.find_run(said.home, run))
    block = {"network": suggestion.network()}
    if as_json:
        output.write(output.json_page(block))
    else:
        output.write(yaml.safe_dump(block, sort_keys=False, width=10_000))
    for destination in suggestion.left_out:
        say(f"{output.escape(destination)} cannot be named in rules; --allow-private or a host name can help")
    if not suggestion.rules:
        say("this run reached nothing that a policy would have to allow")
    return OK


@policy.command(short_help="Show what a policy would change for past runs.")
@click.argument("file", metavar="FILE")
@click.argument("runs", metavar="[RUN]…", nargs=-1)
@options.as_json
@click.pass_obj
def test(said: Invocation, file: str, runs: tuple[str, ...], as_json: bool) -> int:
    """Hold the request logs of RUNs (the latest when left out) against the `network:` of FILE, an agent.yaml.

    Your own rules and what config.yaml opens count too, and the grants that each run had. Nothing is sent.
    The exit code is 1 when a request that was allowed would be denied.
    """
    infos = [engine.find_run(said.home, run) for run in runs or ("",)]
    replays = [engine.replay_policy(said.home, Path(file).absolute(), info) for info in infos]
    changes = [
        (info, change) for info, replay in zip(infos, replays, strict=True) for change in replay.changes
    ]
    if as_json:
        output.write(output.json_page(replays))
    elif changes:
        columns = output.Columns("RUN", "WAS", "WOULD BE", "COUNT", "METHOD", "URL", "RULE", right=("COUNT",),
                                 width=output.terminal_width())  # fmt: skip
        rows = [
            [info.name, each.before, each.after, str(each.count), each.method, each.url, each.rule or "-"]
            for info, each in changes
        ]
        output.write(columns.render(rows))
    else:
        say(f"nothing would change for {sum(replay.requests for replay in replays)} requests")
    return WOULD_DENY if any(change.after == "denied" for _, change in changes) else OK
