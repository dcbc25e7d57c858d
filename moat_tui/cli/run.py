"""`run`: from the words of a command line to a run, on the screen, in this terminal, or detached."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import INTERRUPTED, MOAT_FAILED, OK, say
from moat_tui.cli.leftovers import reap
from moat_tui.cli.no_value import check_grant
from moat_tui.cli.passthrough import STDERR, STDOUT, Outlet, carry_on, stop_this_run
from moat_tui.cli.prompts import confirm, person_there

_SAY_WHERE = "An agent's command goes after --, as in: moat run . -- COMMAND ARG…"


class _RunCommand(click.Command):
    """At most one word before `--`: whatever else stands there was meant for the agent."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        positional = [word for word in args if not word.startswith("-")]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if len(positional) > 1:
                raise engine.UsageError(error.format_message(), remedy=_SAY_WHERE) from None
            raise

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND…]"]


@click.command(cls=_RunCommand, short_help="Start an agent in a container of its own.")
@click.argument("path", nargs=-1, metavar="[PATH]")
@click.option(
    "-n", "--name", default="", metavar="NAME", help="Call the run NAME instead of two words by chance."
)
@click.option("--worktree", default="", metavar="BRANCH",
              help="Work on BRANCH of the repository at PATH, in a worktree of its own.")  # fmt: skip
@options.grants
@options.no_grants
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]",
              help="Set a variable; NAME alone takes its value from here. Repeatable.")  # fmt: skip
@click.option("--secret", "secrets", multiple=True, metavar="NAME=REF",
              help="Set a variable to a secret: op://…, ssm://… or env://…. Repeatable.")  # fmt: skip
@click.option("-m", "--mount", "mounts", multiple=True, metavar="SRC:DST[:ro]",
              help="Also mount SRC, relative to PATH. Repeatable.")  # fmt: skip
@click.option("--volume", "volumes", multiple=True, metavar="NAME:TARGET[:ro]",
              help="Storage of this workspace that stays for its next runs. Repeatable.")  # fmt: skip
@click.option("-p", "--publish", multiple=True, metavar="[NAME:]PORT",
              help="Reach the container's PORT at 127.0.0.1 of this machine. Repeatable.")  # fmt: skip
@click.option(
    "-i",
    "--interactive",
    is_flag=True,
    help="Attach this terminal to the agent; with -d, let terminals attach later.",
)
@click.option("-d", "--detach", is_flag=True, help="Print the run's id and leave it running.")
@click.option(
    "--image", default="", metavar="IMAGE", help="Container image.  [default: debian:bookworm-slim]"
)
@click.option(
    "--runtime", default="", metavar="RUNTIME", help="docker, bubblewrap or apple.  [env: MOAT_RUNTIME]"
)
@click.option("--rootfs", default="", metavar="DIR",
              help="With bubblewrap: use the programs of the tree DIR, not this machine's.")  # fmt: skip
@click.option(
    "--sandbox/--no-sandbox",
    default=None,
    help="gVisor whatever agent.yaml says, or runc where gVisor would be required (Linux).",
)
@click.option(
    "--policy",
    type=click.Choice(["permissive", "strict", "ask"]),
    help="strict: only named hosts can be reached; ask: a person decides about others.",
)
@click.option("--allow-host", "allow_hosts", multiple=True, metavar="HOST",
              help="A host that strict and ask let through. Repeatable.")  # fmt: skip
@click.option("--allow-private", multiple=True, metavar="HOST:PORT",
              help="Open a private or loopback destination to the run. Repeatable.")  # fmt: skip
@click.option(
    "--decoys/--no-decoys",
    default=None,
    help="Plant fake keys; one of them seen leaving freezes the run's network.",
)
@click.option(
    "--docker",
    type=click.Choice(["host", "dind", "none"]),
    help="This machine's engine (the agent is root then), a daemon of its own, or none whoever asks.",
)
@options.profile
@click.option("--rebuild", is_flag=True, help="Make anew what agent.yaml adds to the image.")
@click.option("--keep", is_flag=True, help="Keep the container when the run ends.")
@click.option("--accept-config", is_flag=True, help="Agree to what agent.yaml newly asks for.")
@click.option("--connect-to", multiple=True, metavar="HOST:PORT:ADDR:PORT",
              help="Reach HOST:PORT at ADDR:PORT, as curl's. Repeatable.")  # fmt: skip
@click.option(
    "--upstream-ca", default="", metavar="FILE", help="Also trust these CAs (PEM) for upstream servers."
)
@click.option("--json", "as_json", is_flag=True, help="With --detach: print the run as JSON.")
@click.pass_obj
def run(
    said: Invocation,
    /,
    path: tuple[str, ...],
    grants: tuple[str, ...],
    without_grants: tuple[str, ...],
    env: tuple[str, ...],
    secrets: tuple[str, ...],
    interactive: bool,
    detach: bool,
    policy: str | None,
    docker: str | None,
    upstream_ca: str,
    rootfs: str,
    as_json: bool,
    **same: Any,  # noqa: ANN401 - options that are RunRequest's fields, name and type alike
) -> int:
    """Start an agent in a container of its own, with PATH (this directory when left out) at /workspace.

    The agent's command goes after `--`; left out, it is agent.yaml's. On a terminal the screen opens on
    the run; with `moat --no-ui`, or when stdout is no terminal, the agent's stdout and stderr come out
    of this command as they are, and its exit code is this command's.

    \b
      moat run -g github -- claude -p "fix the failing test"
      moat run ~/project --policy strict --allow-host pypi.org -- make test
      moat run -i -- bash
      moat --no-ui run -- sh -c 'echo hello' > out.txt
      moat run -d -n nightly -- ./agent.sh
      moat run -d --worktree fix/login -- claude -p "fix the login"
    """
    if len(path) > 1:
        raise engine.UsageError("run takes one PATH before the command", remedy=_SAY_WHERE)
    if not same["worktree"] and _given_empty(click.get_current_context(), "worktree"):
        raise engine.UsageError("--worktree needs the name of a branch")
    if said.command == ():
        raise engine.UsageError("there is no command after --", remedy=_SAY_WHERE)
    if as_json and not detach:
        raise engine.UsageError("--json needs --detach: the agent's own output is on stdout otherwise")
    request = engine.RunRequest(
        workspace=os.path.abspath(path[0] if path else "."),
        command=said.command or (),
        grants=tuple(map(check_grant, listed(grants))),
        without_grants=tuple(map(check_grant, listed(without_grants))),
        env=environment(env),
        secrets=dict(map(engine.parse_secret_pair, secrets)),
        interactive=interactive,
        # A detached agent gets its terminal now, and whoever attaches brings the other end.
        tty=detach or (output.is_terminal(0) and output.is_terminal(1)),
        policy=policy or "",
        docker=docker or "",
        upstream_ca=os.path.abspath(upstream_ca) if upstream_ca else "",
        rootfs=os.path.abspath(rootfs) if rootfs else "",
        person=person_there(),
        **same,
    )
    if detach:
        reap(said.home)
        return _detached(said.home, request, as_json=as_json)
    if said.headless or interactive:
        reap(said.home)
        return _attached(said.home, request)
    from moat_tui.screen import run_screen

    return run_screen(said.home, start=request)


def _given_empty(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def listed(values: Iterable[str]) -> tuple[str, ...]:
    """Names given one by one or with commas, each once, in the order of their first mention."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def environment(pairs: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE as it stands, NAME with the value it has here. No error repeats a value."""
    found: dict[str, str] = {}
    for position, pair in enumerate(pairs, 1):
        name, equals, value = pair.partition("=")
        if not name:
            raise engine.UsageError(
                f"-e number {position} has no name", remedy="Write -e NAME=VALUE, or -e NAME."
            )
        if not equals:
            if name not in os.environ:
                raise engine.UsageError(
                    f"-e {name}: there is no such variable here", remedy=f"Write -e {name}=VALUE."
                )
            value = os.environ[name]
        found[name] = value
    return found


def _attached(home: engine.Home, request: engine.RunRequest) -> int:
    stdout, stderr = Outlet(STDOUT, stop_this_run), Outlet(STDERR, carry_on)
    io = engine.AgentIO(stdout=stdout, stderr=stderr, stdin=0, terminal=0 if request.tty else None)
    info = _approved(request, lambda wish: engine.run_in_loop(engine.run_attached(home, wish, io, say)))
    if stdout.problem:
        raise engine.MoatError(
            f"standard output could not be written: {stdout.problem}",
            remedy=f"The run was stopped; what it wrote is in: moat logs {info.id}",
        )
    if info.state == engine.RunState.STOPPED and info.exit_code is None:
        say(f"{info.name} ({info.id}) was stopped before its agent started")
        return INTERRUPTED
    if info.state == engine.RunState.FAILED or info.exit_code is None:
        raise engine.MoatError(
            info.error or f"{info.name} ({info.id}) ended without an exit code",
            remedy=f"See: moat logs {info.id}",
        )
    return info.exit_code


def _detached(home: engine.Home, request: engine.RunRequest, *, as_json: bool) -> int:
    import asyncio

    info = _approved(request, lambda wish: asyncio.run(engine.start_detached(home, wish, notice=say)))
    output.write(output.json_line(info) if as_json else f"{info.id}\n")
    if info.state == engine.RunState.FAILED:
        say(f"error: {info.error or 'the run failed'}")
        return MOAT_FAILED
    follow = (
        f"attach to it: moat attach {info.id}" if info.interactive else f"follow it: moat logs -f {info.id}"
    )
    say(f"{info.name} is {info.state}; {follow}; stop it: moat stop {info.id}")
    return OK


def _approved(
    request: engine.RunRequest, start: Callable[[engine.RunRequest], engine.RunInfo]
) -> engine.RunInfo:
    """Start; where agent.yaml asks for more than it was ever given, put that to a person first."""
    try:
        return start(request)
    except engine.ApprovalNeeded as needed:
        if not person_there():
            if "--accept-config" in str(needed):
                raise
            raise engine.ApprovalNeeded(
                needed.what,
                asks=needed.asks,
                remedy="Read it, then start again with --accept-config if you agree.",
            ) from None
        say(needed.what)
        for ask in needed.asks:
            say(f"  {ask}")
        if not confirm("start it with these?"):
            raise engine.MoatError("not started: what agent.yaml asks for was not agreed to") from None
        agreed = needed.asks
    import msgspec

    # Only what was shown: the agent could have written the file again since.
    return start(msgspec.structs.replace(request, accepted=agreed))
