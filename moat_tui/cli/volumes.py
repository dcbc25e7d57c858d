"""`volumes`: the storage that workspaces' runs keep, and what of it is deleted."""

from __future__ import annotations

import os

import click

import engine
from moat_tui.cli import options, output
from moat_tui.cli.argv import Invocation
from moat_tui.cli.errors import OK, say
from moat_tui.cli.leftovers import reap
from moat_tui.cli.prompts import confirm, person_there

_UNITS = ("B", "KB", "MB", "GB", "TB")


@click.group(invoke_without_command=True, short_help="List and delete the volumes of workspaces.")
@options.as_json
@click.pass_context
def volumes(ctx: click.Context, as_json: bool) -> int:
    """List the volumes of all workspaces: how much they take, and which live runs have them.

    A volume belongs to the workspace, by its path, and stays until it is deleted here.

    \b
      moat volumes
      moat volumes rm cache ~/project
    """
    if ctx.invoked_subcommand is not None:
        return OK
    said: Invocation = ctx.obj
    reap(said.home)
    found = engine.list_volumes(said.home)
    if as_json:
        output.write(output.json_page(found))
        return OK
    if not found:
        say("there are no volumes; agent.yaml's `volumes:` and --volume make them")
        return OK
    rows = [[v.name, _size(v), ",".join(v.used_by) or "-", v.workspace] for v in found]
    columns = output.Columns(
        "NAME", "SIZE", "USED BY", "WORKSPACE", right=("SIZE",), width=output.terminal_width()
    )
    output.write(columns.render(rows))
    return OK


@volumes.command("rm", short_help="Delete a volume and what is in it.")
@click.argument("name", metavar="NAME")
@click.argument("path", metavar="[PATH]", default="")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@options.as_json
@click.pass_obj
def remove(said: Invocation, name: str, path: str, yes: bool, as_json: bool) -> int:
    """Delete the volume NAME of the workspace PATH (this directory when left out) and all that is in it.

    A volume that a live run has is refused. On a terminal it asks first.

    \b
      moat volumes rm cache
      moat volumes rm -y cache ~/project
    """
    reap(said.home)
    workspace = os.path.realpath(os.path.expanduser(path or "."))
    if not yes and person_there() and not confirm(f"delete the volume {name} of {workspace}?"):
        raise engine.MoatError("nothing was deleted")
    engine.remove_volume(said.home, workspace, name)
    if as_json:
        output.write(output.json_page({"name": name, "workspace": workspace, "deleted": True}))
    else:
        output.line(f"{name} of {workspace} deleted")
    return OK


def _size(volume: engine.VolumeInfo) -> str:
    """`1.5 MB`; `>1.5 MB` where not all of it was counted."""
    size, unit = float(volume.size), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    number = f"{size:.0f}" if unit == 0 or size >= 100 else f"{size:.1f}"
    return f"{'' if volume.whole else '>'}{number} {_UNITS[unit]}"
