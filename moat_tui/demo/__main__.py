"""Walk through Moat's main job with the same commands a person types; every line shown is real.

The demo's credential lives in a profile of its own, so a real `github` grant is never touched.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import click

from moat_tui.cli.errors import INTERRUPTED, READER_GONE
from moat_tui.cli.output import abandon_stdout
from moat_tui.demo.choice import BUBBLEWRAP, DOCKER, choose, client
from moat_tui.demo.upstream import HOST, DemoUpstream

PROFILE = "demo"
IMAGE = "moat-base:bookworm"  # `moat doctor --fix` makes it; the official slim image has no curl
_AGENT = "echo --- env ---; env | sort"
_WIDTH = 80
_INDENT = "   "


def main() -> int:
    """The exit code: 0 when everything shown is as promised."""
    try:
        return _demo()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `make demo | head`
        abandon_stdout()
        return READER_GONE


def _demo() -> int:
    token = "ghp_demo" + secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="moat-demo-") as name:
        directory = Path(name)
        workspace = directory / "workspace"
        workspace.mkdir()
        upstream = DemoUpstream(directory, token)
        try:
            return _walk(token, upstream, workspace)
        finally:
            upstream.close()


def _walk(token: str, upstream: DemoUpstream, workspace: Path) -> int:
    _say(f"A server on 127.0.0.1:{upstream.port} plays {HOST}: without the token it answers 401.")
    _say("1. Store the token once, encrypted (through a pipe, never as an argument):")
    _moat("grant", "github", "--stdin", "--no-validate", "--profile", PROFILE, given=token + "\n")

    runtime = choose()
    where, call = "sandbox", client()
    flags = ("--runtime", runtime)
    if runtime == DOCKER:
        where, call, flags = "container", "curl -sS https://api.github.com/user", ("--image", IMAGE)
    if runtime == BUBBLEWRAP:
        _say("No Docker engine answers here: the agent runs in a sandbox of this machine's own programs.")
    _say(f"2. Run an agent in a {where}. It calls the API, then prints its environment:")
    output = _moat(
        "--no-ui", "run", str(workspace), "--name", "demo", "--grant", "github", "--profile", PROFILE,
        "--policy", "strict", *flags,
        "--connect-to", f"{HOST}:443:127.0.0.1:{upstream.port}", "--upstream-ca", str(upstream.ca_file),
        "--", "sh", "-c", f"{call}; {_AGENT}",
    )  # fmt: skip

    _say("3. Did it work, and did anything leak?")
    checks = (
        ("the API call succeeded", '"login": "octocat"' in output),
        ("the token is nowhere in what the agent printed", token not in output),
        ("the token is in no file under Moat's home in the clear", not _files_with(token)),
    )
    for text, good in checks:
        click.echo(f"   {'[ok]  ' if good else '[FAIL]'} {text}")

    _say("4. What went through the proxy:")
    _moat("trace", "demo")
    _say("5. And the proof: a hash-chained, signed log of every use, as one file:")
    proof = workspace.parent / "proof.json"
    _moat("audit", "demo", "--export", str(proof))
    _show_chain(proof)
    _moat("audit", "verify", str(proof))
    if not all(good for _, good in checks):
        return 1
    _say("That was the whole of it. Open the screen with:  .venv/bin/moat")
    click.echo("   Give it a token of yours:       .venv/bin/moat grant github")
    click.echo("   and run your own agent:         .venv/bin/moat run -g github -- COMMAND")
    click.echo(f"   Forget the demo's token:        .venv/bin/moat revoke github --profile {PROFILE}")
    return 0


def _moat(*args: str, given: str | None = None) -> str:
    """Run the installed command as a person would; show it and its output; stop the demo if it fails.

    What it says on stderr is shown where it is said, among the rest, as a terminal would.
    """
    click.secho("\n".join(command_lines("moat", *args)), bold=True)
    sys.stdout.flush()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "moat_tui", *args],
        input=given or "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
    )
    for line in done.stdout.splitlines():
        click.echo(f"{_INDENT}{line}".rstrip())
    if done.returncode:
        click.echo(f"{_INDENT}moat ended with exit code {done.returncode}; the demo stops here.")
        raise SystemExit(done.returncode)
    return done.stdout


def command_lines(*words: str) -> list[str]:
    """The command as it could be typed, an option never apart from its value, in lines of 80 cells."""
    pieces: list[str] = []
    for word in words:
        bare = pieces[-1:] and pieces[-1].startswith("-") and " " not in pieces[-1]
        if bare and not word.startswith("-"):
            pieces[-1] += f" {shlex.quote(word)}"
        else:
            pieces.append(shlex.quote(word))
    lines = [f"{_INDENT}$"]
    for piece in pieces:
        if len(lines[-1]) + 1 + len(piece) > _WIDTH - len(" \\") and not lines[-1].endswith("$"):
            lines[-1] += " \\"
            lines.append(f"{_INDENT}   ")
        lines[-1] += f" {piece}"
    return lines


def _show_chain(proof: Path) -> None:
    """Every entry but the agent's own output: each holds the hash of the one before it."""
    for entry in json.loads(proof.read_text())["entries"]:
        if entry["type"] != "console":
            told = " ".join(f"{key}={value}" for key, value in entry["data"].items())
            chained = f"{entry['prev'][:8] or 'start':8} <- {entry['hash'][:8]}"
            label = f"{_INDENT}{entry['seq']:>4}  {chained}  {entry['type']:10}  "
            hanging = " " * len(label)
            click.echo(
                textwrap.fill(
                    told, _WIDTH, initial_indent=label, subsequent_indent=hanging, break_on_hyphens=False
                )
            )


def _files_with(token: str) -> list[Path]:
    home = Path(os.environ.get("MOAT_HOME") or Path.home() / ".moat")
    needle = token.encode()
    return [path for path in home.rglob("*") if path.is_file() and needle in path.read_bytes()]


def _say(text: str) -> None:
    click.echo()
    click.secho(text, fg="cyan")


if __name__ == "__main__":
    raise SystemExit(main())
