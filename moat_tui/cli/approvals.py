"""`approvals`, `approve`, `deny`: answer what runs with the policy `ask` wait for, without the screen."""

from __future__ import annotations

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import OK, say
from moat_tui.cli.leftovers import reap

_POLL_SECONDS = 1.0  # well below the time that a viewer's word holds

type _Waiting = tuple[engine.RunInfo, engine.Approval]


@click.command(short_help="List requests that wait for a person's answer.")
@options.which_run
@click.option("--watch", is_flag=True, help="Be there to answer: until ctrl-c, or the run's end.")
@options.as_json_lines
@click.pass_obj
def approvals(said: Invocation, run: str, watch: bool, as_json: bool) -> int:
    """List the requests that a run with the network policy `ask` holds until a person answers.

    RUN is an id, the start of one, or a name; every live run when left out. A run holds requests only while
    somebody is there to answer, on the screen or with --watch; otherwise it refuses them at once.

    \b
      moat approvals
      moat approvals --watch
    """
    import asyncio

    reap(said.home)
    only = engine.find_run(said.home, run).id if run else ""
    if watch:
        asyncio.run(_watch(said.home, only, as_json=as_json))
        return OK
    waiting = [(info, one) for info in _runs(said.home, only) for one in _waiting(said.home, info)]
    for found in waiting:
        _show(found, as_json=as_json)
    if not waiting:
        say("no request waits for an answer")
    return OK


@click.command(short_help="Let a waiting request go.")
@click.argument("run", metavar="RUN")
@click.argument("approval", metavar="ID")
@click.option("--once", "answer", flag_value="once", default="once", help="Only this request; the default.")
@click.option("--run", "answer", flag_value="run", help="Every request to this host and port, for this run.")
@click.option("--always", "answer", flag_value="always",
              help="The same for every run: a rule in your own config.yaml.")  # fmt: skip
@click.pass_obj
def approve(said: Invocation, run: str, approval: str, answer: str) -> int:
    """Let a request go that waits for an answer. ID is what `moat approvals` shows.

    \b
      moat approve swift-otter a1
      moat approve swift-otter a1 --run
    """
    return _answer(said, run, approval, answer, "allowed")


@click.command(short_help="Refuse a waiting request.")
@click.argument("run", metavar="RUN")
@click.argument("approval", metavar="ID")
@click.option("--run", "for_run", is_flag=True, help="Every request to this host and port, for this run.")
@click.pass_obj
def deny(said: Invocation, run: str, approval: str, for_run: bool) -> int:
    """Refuse a request that waits for an answer. ID is what `moat approvals` shows.

    \b
      moat deny swift-otter a1
      moat deny swift-otter a1 --run
    """
    return _answer(said, run, approval, "deny-run" if for_run else "deny", "denied")


def _answer(said: Invocation, run: str, approval: str, answer: str, done: str) -> int:
    import asyncio

    found = engine.find_run(said.home, run)
    waiting = {one.id: one for one in engine.waiting_approvals(said.home, found.id)}
    asyncio.run(engine.answer_approval(said.home, found.id, approval, answer))
    about = f" {_request(waiting[approval])}" if approval in waiting else ""
    output.line(f"{found.name} {approval} {done}{about}")
    return OK


async def _watch(home: engine.Home, only: str, *, as_json: bool) -> None:
    import asyncio

    seen: set[tuple[str, str]] = set()
    told = False
    while True:
        runs = _runs(home, only)
        if only and not runs:
            say("the run is over")
            return
        for info in runs:
            try:
                await engine.watch_approvals(home, info.id)
            except engine.MoatError:
                continue  # it has just begun, or ends
            for found in _waiting(home, info):
                if (info.id, found.id) not in seen:
                    seen.add((info.id, found.id))
                    _show((info, found), as_json=as_json)
        if not told:  # now that every run knows
            told = True
            say("watching; answer in another terminal: moat approve RUN ID, moat deny RUN ID")
        await asyncio.sleep(_POLL_SECONDS)


def _runs(home: engine.Home, only: str) -> list[engine.RunInfo]:
    """Live runs that may ask, newest first."""
    return [
        info
        for info in engine.list_runs(home)
        if info.policy == "ask" and not info.state.ended and only in ("", info.id)
    ]


def _waiting(home: engine.Home, info: engine.RunInfo) -> list[engine.Approval]:
    return engine.waiting_approvals(home, info.id)


def _show(found: _Waiting, *, as_json: bool) -> None:
    info, approval = found
    if as_json:
        fields = output.plain(approval)
        assert isinstance(fields, dict)
        output.write(output.json_line({"run_id": info.id, "run": info.name, **fields}))
        return
    alike = f", {approval.requests} alike" if approval.requests > 1 else ""
    # A line of its own and never cut: the end of a host is what tells it from its lookalikes.
    output.line(f"{info.name} {approval.id} {_request(approval)} (for {output.age(approval.since)}{alike})")
    if approval.reads_as:
        output.line(f"  the host reads as {approval.reads_as}")


def _request(approval: engine.Approval) -> str:
    scheme = "https" if approval.tls else "http"
    return f"{approval.method} {scheme}://{approval.host}:{approval.port}{approval.path}"
