"""`audit prove` and `audit verifier`: what somebody else needs to see one entry, and to check it."""

from __future__ import annotations

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.audit_files import write_whole
from moat_tui.cli.errors import OK, say


@click.command(short_help="Prove single entries, with fields kept back.")
@click.argument("run", metavar="RUN", shell_complete=options.complete_runs)
@click.argument("seqs", metavar="SEQ…", nargs=-1, required=True, type=click.IntRange(min=1))
@click.option(
    "--withhold", "withheld", metavar="FIELD", multiple=True, help="Keep this field back; repeatable."
)
@click.option(
    "-o", "--output", "file", metavar="FILE", default="-", help="Where to; `-`, the default: stdout."
)
@click.pass_obj
def prove(said: Invocation, run: str, seqs: tuple[int, ...], withheld: tuple[str, ...], file: str) -> int:
    """Prove that the log of RUN has these entries, without showing the others.

    A field that is kept back leaves its commitment in the proof: it cannot be another one later, and
    tells nothing. `moat audit verify FILE` and `moat_verify.py` verify the proof.

    \b
      moat audit prove swift-otter 17 18 -o proof.json
      moat audit prove swift-otter 17 --withhold url
    """
    found = engine.find_run(said.home, run)
    proof = engine.prove_entries(said.home, found.id, seqs, withheld)
    if file == "-":
        output.write(proof.decode())
        return OK
    write_whole(file, proof)
    say(f"proof written to {file}; verify it anywhere: moat audit verify {file}")
    return OK


@click.command(short_help="Print the verifier that needs only Python.")
def verifier() -> int:
    """Print moat_verify.py, which verifies proof bundles and proofs with nothing but Python 3.9 or later.

    \b
      moat audit verifier > moat_verify.py
      python3 moat_verify.py proof.json --key KEY
    """
    output.write(engine.standalone_verifier())
    return OK
