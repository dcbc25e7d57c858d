"""`audit RUN` and `audit verify FILE`: is what the log says what happened?"""

from __future__ import annotations

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import DefaultGroup, Invocation
from moat_tui.cli.audit_files import Bar, read_proof, tell, unreadable, write_whole
from moat_tui.cli.audit_prove import prove, verifier
from moat_tui.cli.audit_runs import runs
from moat_tui.cli.errors import say


@click.command("audit")
@options.which_run
@click.option("--export", metavar="FILE", help="Also write the log as a proof bundle; `-`: to stdout, alone.")
@click.option("--html", metavar="FILE", help="Also write the run's dossier: one page that needs no network.")
@options.as_json
@click.pass_obj
def show(said: Invocation, run: str, export: str | None, html: str | None, as_json: bool) -> int:
    """Verify the audit log of RUN: an id, the start of one, or a name; the latest run when left out.

    \b
      moat audit
      moat audit swift-otter --export proof.json
      moat audit swift-otter --html dossier.html
    """
    if html == "-" and export is not None:
        raise engine.UsageError("with --html - nothing else is written", remedy="Give --html a file's name.")
    found = engine.find_run(said.home, run)
    bar = Bar()
    try:
        verdict = engine.verify_run(said.home, found.id, bar)
    finally:
        bar.done()
    if not found.state.ended and verdict.valid:
        say(f"{found.name} is {found.state}: this is its log so far; it is closed when the run ends")
    if html is not None:
        page = engine.write_dossier(said.home, found, verdict)
        if html == "-":
            output.write(page)
            return verdict.exit_code
        write_whole(html, page.encode())
        say(f"dossier written to {html}; any browser shows it, without a network")
    if export == "-":
        output.write(engine.export_bundle(said.home, found.id).decode())
        return verdict.exit_code
    if export is not None:
        write_whole(export, engine.export_bundle(said.home, found.id))
        say(f"proof bundle written to {export}; verify it anywhere: moat audit verify {export}")
    return tell(verdict, f"Audit of {found.name} ({found.id})", as_json=as_json)


@click.command(short_help="Verify a proof bundle or a proof.")
@click.argument("file")
@click.option("--key", metavar="KEY", help="The installation's public key, or a file that holds it.")
@click.option("--finished", is_flag=True, help="The run is known to be over: an open log is a truncated one.")
@click.option("--witness", "witnesses", metavar="KEY", multiple=True,
              help="A witness whose cosignature you trust, by its verifier key; repeatable.")  # fmt: skip
@click.option("--timestamp-ca", metavar="FILE", default="", help="The CA of timestamps that you trust, PEM.")
@click.option("--rekor-key", metavar="KEY", default="", help="The verifier key of the Rekor that you trust.")
@options.as_json
@click.pass_obj
def verify(
    said: Invocation,
    file: str,
    key: str | None,
    finished: bool,
    witnesses: tuple[str, ...],
    timestamp_ca: str,
    rekor_key: str,
    as_json: bool,
) -> int:
    """Verify a file that `moat audit --export` or `moat audit prove` wrote; `-` reads it from stdin.

    KEY is the heads/signing.pub of the installation that the run was on, as hex, base64, a verifier key
    line or a file; it must have reached you another way than FILE. Without it, this installation's own key
    vouches for what comes from here, and nothing for the rest. What others say of the installation's log
    (anchors) is verified with the keys that you give, or else that your config.yaml names. The exit code is
    0 when FILE holds, 1 when it was changed or cut short, 2 when no pinned key vouches for it or it cannot
    be read.

    \b
      moat audit verify proof.json
      moat audit verify proof.json --key signing.pub --finished
    """
    pin = engine.read_pin(key) if key else None
    pins = engine.parse_pins(witnesses, timestamp_ca, rekor_key)
    bar = Bar()
    try:
        verdict = engine.verify_bundle(
            said.home, read_proof(file), pin, finished=finished, pins=pins, progress=bar
        )
    except engine.MoatError as error:
        raise unreadable(error) from None
    finally:
        bar.done()
    return tell(verdict, f"Proof {file}", as_json=as_json)


audit = DefaultGroup(
    name="audit",
    default=show,
    usage="[RUN] [--export FILE] [--html FILE]"
    "  |  verify FILE [--key KEY]  |  prove RUN SEQ…  |  runs  |  verifier",
    commands={"verify": verify, "prove": prove, "runs": runs, "verifier": verifier},
    short_help="Verify a run's audit log, a proof bundle, or all runs.",
    help="""Verify the audit log of RUN (an id, the start of one, or a name; the latest run when left
out), a proof file, or the logs of all runs; prove single entries. The exit code is 0 when it holds, 1 when
it was changed or cut short, 2 when no pinned key vouches for it or it cannot be read.

\b
  moat audit
  moat audit swift-otter --export proof.json
  moat audit swift-otter --html dossier.html
  moat audit verify proof.json --key signing.pub
  moat audit prove swift-otter 17 --withhold url
  moat audit runs
  moat audit --json
""",
)
