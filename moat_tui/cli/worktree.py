"""`worktree list`, `worktree fetch`, `worktree clean`: the worktrees that `run --worktree` made."""

from __future__ import annotations

from pathlib import Path

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import NOT_WELL, OK, say
from moat_tui.cli.leftovers import reap

_repository = click.option(
    "--repository", default=None, metavar="DIR", help="Only worktrees of the repository at DIR."
)
_branches = click.argument("branches", metavar="[BRANCH…]", nargs=-1)


@click.group(short_help="List, fetch and remove worktrees of runs.")
def worktree() -> None:
    """The worktrees that `moat run --worktree BRANCH` made. Each is a repository of its own in Moat's home;
    when its run ends, new commits are fetched to the branch in yours.

    \b
      moat worktree list
      moat worktree fetch fix/login
      moat worktree clean
    """


@worktree.command("list", short_help="List worktrees and what they hold.")
@_repository
@options.as_json
@click.pass_obj
def list_command(said: Invocation, repository: str | None, as_json: bool) -> int:
    """List worktrees: the run at work in each, files with changes that are not committed, and branches whose
    commits the repository does not have.

    \b
      moat worktree list
      moat worktree list --repository . --json
    """
    reap(said.home)
    found = engine.list_worktrees(said.home, _path(repository))
    if as_json:
        output.write(output.json_page([{**output.plain(state), "run": run} for state, run in found]))
        return OK
    if not found:
        say("there are no worktrees; make one: moat run --worktree BRANCH -- COMMAND")
        return OK
    table = output.Columns(
        "BRANCH", "REPOSITORY", "RUN", "AGE", "CHANGES", "NOT FETCHED", "PATH",
        right=("CHANGES",), elastic="PATH", width=output.terminal_width(),
    )  # fmt: skip
    output.write(table.render([_row(state, run) for state, run in found]))
    return OK


@worktree.command(short_help="Fetch the commits of worktrees to your branches.")
@_branches
@_repository
@options.as_json
@click.pass_obj
def fetch(said: Invocation, branches: tuple[str, ...], repository: str | None, as_json: bool) -> int:
    """Fetch what is new on BRANCH (all worktrees when left out) to the branch in your repository, also while
    a run is at work. A branch that went another way there, or is checked out, is left as it is, and the
    commits are kept under refs/moat; the exit code is 1 then, and when one cannot be fetched.

    \b
      moat worktree fetch
      moat worktree fetch fix/login
    """
    done = engine.fetch_worktrees(said.home, branches, _path(repository))
    if as_json:
        output.write(output.json_page(done))
    else:
        for fetched in done:
            output.line(str(fetched))
    return NOT_WELL if any(fetched.aside or fetched.problem for fetched in done) else OK


@worktree.command(short_help="Remove worktrees that hold nothing of their own.")
@_branches
@_repository
@click.option("--force", is_flag=True, help="Also with changes and commits that nobody else has.")
@options.as_json
@click.pass_obj
def clean(
    said: Invocation, branches: tuple[str, ...], repository: str | None, force: bool, as_json: bool
) -> int:
    """Remove the worktrees of BRANCH (all when left out) after fetching their commits. One with changes that
    are not committed, with commits that your repository does not have, or with a run at work stays; the exit
    code is 1 when a named one does. Branches in your repository stay.

    \b
      moat worktree clean
      moat worktree clean --force fix/login
    """
    reap(said.home)
    done = engine.clean_worktrees(said.home, branches, _path(repository), force=force)
    if as_json:
        output.write(output.json_page(done))
    else:
        for cleaned in done:
            output.line(_cleaned(cleaned))
    if not done and not as_json:
        say("there are no worktrees")
    return NOT_WELL if branches and not all(cleaned.removed for cleaned in done) else OK


def _row(state: engine.WorktreeState, run: str) -> tuple[str, ...]:
    return (
        state.branch,
        Path(state.repository).name,
        run or "-",
        output.age(state.made_at),
        "?" if state.problem else str(state.changes or "-"),
        ",".join(state.unmerged) or "-",
        state.path,
    )


def _cleaned(cleaned: engine.Cleaned) -> str:
    state = cleaned.state
    if not cleaned.removed:
        return f"{state.branch}: {cleaned.why}"
    ignored = f", with ignored files in it ({state.ignored})" if state.ignored else ""
    return f"{state.branch}: removed {state.path}{ignored}"


def _path(repository: str | None) -> Path | None:
    return Path(repository).absolute() if repository is not None else None
