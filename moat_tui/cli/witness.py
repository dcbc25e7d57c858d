"""`witness`: bring the installation's log to others who vouch for it, and be such an other."""

from __future__ import annotations

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import NOT_WELL, OK, say


@click.group(short_help="Anchor the installation's log outside this machine.")
def witness() -> None:
    """Anchor the installation's log outside this machine, so that not even you can rewrite it unnoticed.

    Where to is said under `audit:` in config.yaml. The newest head goes there whenever a run starts or ends.

    \b
      moat witness status
      moat witness push
      moat witness key
      moat witness serve --log KEY
    """


@witness.command(short_help="Show where the log is anchored, and how far.")
@options.as_json
@click.pass_obj
def status(said: Invocation, as_json: bool) -> int:
    """List the places that config.yaml names: what each holds, since when, and what went wrong.

    The exit code is 1 when a place has another history than this installation.
    """
    states = engine.anchor_states(said.home)
    if as_json:
        output.write(output.json_page(states))
    elif not states:
        say("nothing is set up; name witnesses under `audit:` in config.yaml")
    for state in () if as_json else states:
        _show(state.anchored, due=state.due)
    return NOT_WELL if any(state.anchored.conflict for state in states) else OK


@witness.command(short_help="Bring the newest head to every place now.")
@options.as_json
@click.pass_obj
def push(said: Invocation, as_json: bool) -> int:
    """Bring the newest head to every place that has not got it, and say what came of it.

    The exit code is 1 when a place could not be reached, or has another history.
    """
    import asyncio

    done = asyncio.run(engine.push_heads(said.home))
    if done is None:
        say("another process is at it; see `moat witness status`")
        return OK
    if as_json:
        output.write(output.json_page(done))
    elif not done:
        say("nothing is set up, or nothing was signed yet")
    for anchored in () if as_json else done:
        _show(anchored, due=bool(anchored.problem))
    return NOT_WELL if any(anchored.problem for anchored in done) else OK


@witness.command(short_help="Print the key that a witness must know this log by.")
@click.pass_obj
def key(said: Invocation) -> int:
    """Print the verifier key that a witness is configured with to accept this installation's heads.

    It only lets heads be offered. What proofs are verified by is heads/signing.pub.
    """
    output.line(str(engine.submission_key(said.home)))
    return OK


@witness.command(short_help="Be a witness for other installations.")
@click.option("--log", "logs", metavar="KEY", multiple=True, required=True,
              help="A log to witness, by the key `moat witness key` prints there; repeatable.")  # fmt: skip
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:8337", show_default=True,
              help="Where to answer, over plain HTTP.")  # fmt: skip
@click.option("--name", metavar="NAME", default="moat-witness", show_default=True,
              help="The name to sign with, such as witness.example.com.")  # fmt: skip
@click.pass_obj
def serve(said: Invocation, logs: tuple[str, ...], listen: str, name: str) -> int:
    """Serve the C2SP witness protocol until ctrl-c: cosign every head that continues the last one.

    A log that shows two histories gets 409 or 422; what proves it is kept in ~/.moat/witness/misbehaviour.
    Put a TLS server in front where others than you come over a network.

    \b
      moat witness serve --log "$KEY"
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise engine.UsageError(f"--listen {listen!r} is no HOST:PORT", remedy="Say --listen 127.0.0.1:8337")
    import asyncio

    state, own = engine.open_witness(said.home, name, logs)
    asyncio.run(_serve(state, str(own), host.strip("[]"), int(port)))
    return OK


async def _serve(state: engine.WitnessState, own: str, host: str, port: int) -> None:
    import asyncio
    import signal

    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with engine.serve_witness(state, host, port, lambda text: say(output.escape(text))) as url:
        say(f"witness {state.name} at {url}; its key, for the `audit:` of the logs it witnesses:")
        output.line(own)
        await over.wait()


def _show(anchored: engine.Anchored, *, due: bool) -> None:
    held = f"{anchored.size} events since {anchored.at}" if anchored.size else "nothing yet"
    mark = "[FAIL]" if anchored.conflict else "-" if due else "[ok]"
    output.line(f"{mark} {anchored.kind} {output.escape(anchored.place)}: {held}")
    if anchored.problem:
        output.line(f"    {anchored.tried_at} {output.escape(anchored.problem)}")
