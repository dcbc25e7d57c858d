"""`audit RUN` and `audit verify FILE`: is what the log says what happened?"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import DefaultGroup, Invocation
from moat_tui.cli.audit_runs import runs
from moat_tui.cli.errors import NOT_WELL, OK, say

_MOST_BYTES = 1 << 30  # of a bundle; a million entries are a third of it


@click.command("audit")
@options.which_run
@click.option("--export", metavar="FILE", help="Also write the log as a proof bundle; `-`: to stdout, alone.")
@options.as_json
@click.pass_obj
def show(said: Invocation, run: str, export: str | None, as_json: bool) -> int:
    """Verify the audit log of RUN: an id, the start of one, or a name; the latest run when left out.

    \b
      moat audit
      moat audit swift-otter --export proof.json
    """
    found = engine.find_run(said.home, run)
    verdict = engine.verify_run(said.home, found.id)
    if not found.state.ended and verdict.valid:
        say(f"{found.name} is {found.state}: this is its log so far; it is signed when the run ends")
    if export == "-":
        output.write(engine.export_bundle(said.home, found.id).decode())
        return OK if verdict.valid else NOT_WELL
    if export is not None:
        write_whole(export, engine.export_bundle(said.home, found.id))
        say(f"proof bundle written to {export}; verify it anywhere: moat audit verify {export}")
    return tell(verdict, f"Audit of {found.name} ({found.id})", as_json=as_json)


@click.command(short_help="Verify a proof bundle.")
@click.argument("file")
@options.as_json
def verify(file: str, as_json: bool) -> int:
    """Verify a proof bundle that `moat audit --export` wrote; `-` reads it from stdin.

    \b
      moat audit verify proof.json
    """
    try:
        with sys.stdin.buffer if file == "-" else open(file, "rb") as source:
            data = source.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise engine.MoatError(
                f"{file} is larger than {_MOST_BYTES >> 20} MiB: that is no proof bundle of one run",
                remedy="Name a file that `moat audit RUN --export FILE` wrote.",
            )
    except OSError as error:
        raise engine.MoatError(f"{file}: {error.strerror}", remedy="Name a readable proof bundle.") from error
    return tell(engine.verify_bundle(data), f"Proof bundle {file}", as_json=as_json)


def tell(verdict: engine.Verdict, title: str, *, as_json: bool) -> int:
    """Print the verdict; the exit code is 1 when the log is not intact."""
    if as_json:
        output.write(output.json_page(engine.verdict_json(verdict)))
    else:
        for text in engine.render_verdict(verdict, title):
            output.line(text)
    return OK if verdict.valid else NOT_WELL


def write_whole(name: str, data: bytes) -> None:
    """`data` in the file `name`, whole or not at all; raises MoatError with the system's reason."""
    path = Path(name)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a pipe or a device: there is nothing to keep whole
            return
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise engine.MoatError(
            f"{name} could not be written: {error.strerror}",
            remedy="Name a file in a directory you can write to.",
        ) from error


audit = DefaultGroup(
    name="audit",
    default=show,
    usage="[RUN] [--export FILE] [--json]  |  verify FILE [--json]  |  runs [--json]",
    commands={"verify": verify, "runs": runs},
    short_help="Verify a run's audit log, a proof bundle, or all runs.",
    help="""Verify the audit log of RUN (an id, the start of one, or a name; the latest run when left
out), a proof bundle, or the logs of all runs. The exit code is 1 when it is not intact.

\b
  moat audit
  moat audit swift-otter --export proof.json
  moat audit verify proof.json
  moat audit runs
  moat audit --json
""",
)
