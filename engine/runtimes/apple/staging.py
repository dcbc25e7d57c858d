"""A directory of this machine, shown read-only in the container, that makes it the agent's.

`container` can put files into a container only while that runs, and takes an environment only by its
arguments, which any process here can read. So the container starts with a script of this directory that
waits; another one, run in it as root, puts the files in their places; then the first becomes the agent, with
the environment from here. Both are plain `sh`: images have nothing else in common.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from shlex import quote

import msgspec

from engine.errors import HomeError
from engine.runtimes.spec import ContainerSpec, PlacedFile
from engine.runtimes.user import GROUP, HOME, NAME, PASSWD

TARGET = "/.moat"  # not below /moat, which other files are put into
START = f"{TARGET}/start"
PLACE = f"{TARGET}/place"
LEFT_OUT = "left out: "  # what `place` prints before each file of the home that it did not make
_READY = "/run/moat/placed"
_OWN_HOME = "/run/moat/home"

# $1 … are NAME=VALUE until "--"; what follows becomes this process. A home that nobody named is the one that
# `place` found in the image, or made.
_START = f"""\
#!/bin/sh
until [ -e {_READY} ]; do sleep 0.02 2>/dev/null || sleep 1; done
case ${{HOME:-/}} in /) read -r HOME <{_OWN_HOME} && export HOME ;; esac
. {TARGET}/env
while [ "$1" != -- ]; do export "$1"; shift; done
shift
exec "$@"
"""

# For root, before the agent begins. $1 and $2 are the agent's user and group.
_PLACE_HEAD = f"""\
#!/bin/sh
set -e
umask 022
uid=$1 gid=$2 home= known=
mkdir -p /run/moat
if [ -f {PASSWD} ]; then
    while IFS=: read -r _ _ id _ _ directory _; do
        if [ "$id" = "$uid" ]; then known=1 home=$directory; break; fi
    done <{PASSWD}
fi
if [ -z "$known" ]; then
    home={HOME}
    echo "{NAME}:x:$uid:$gid::$home:/bin/sh" >>{PASSWD}
    mkdir -p "$home"
    chmod 700 "$home"
    chown "$uid:$gid" "$home"
fi
known=
if [ -f {GROUP} ]; then
    while IFS=: read -r _ _ id _; do
        if [ "$id" = "$gid" ]; then known=1; break; fi
    done <{GROUP}
fi
[ -n "$known" ] || echo "{NAME}:x:$gid:" >>{GROUP}
echo "${{home:-/}}" >{_OWN_HOME}
"""


class Staging:
    """Made by `stage`; removed with `remove`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    async def remove(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)


def remove_staged(run_id: str) -> None:
    """What a process that was killed left of a run."""
    for directory in Path(tempfile.gettempdir()).glob(f"moat-{run_id}-*"):
        shutil.rmtree(directory, ignore_errors=True)


async def stage(spec: ContainerSpec) -> Staging:
    return await asyncio.to_thread(_stage, spec)


def _stage(spec: ContainerSpec) -> Staging:
    """Only this user can enter the directory: the environment holds the run's token."""
    try:
        directory = Path(tempfile.mkdtemp(prefix=f"moat-{spec.run_id}-"))
        staging = Staging(directory.resolve())  # /var is a link on macOS
        for name, content in scripts(spec).items():
            (directory / name).write_bytes(content)
        for index, file in enumerate((*spec.files, *spec.home_files)):
            if not (file.link or file.directory):
                (directory / str(index)).write_bytes(file.content)
        for made in directory.iterdir():
            made.chmod(0o600)
    except OSError as error:
        raise HomeError(
            f"the run's files could not be laid out in {tempfile.gettempdir()}: {error.strerror}",
            remedy="See whether it is full, or set TMPDIR.",
        ) from error
    return staging


def scripts(spec: ContainerSpec) -> dict[str, bytes]:
    """The files of the directory that are shell, by name."""
    env = "".join(f"export {name}={quote(value)}\n" for name, value in spec.env.items())
    return {"start": _START.encode(), "env": os.fsencode(env), "place": _place(spec).encode()}


def _place(spec: ContainerSpec) -> str:
    text = _PLACE_HEAD
    for index, file in enumerate(spec.files):
        text += _lines(file, quote(file.path), index)
    if spec.home_files:
        text += f'home={quote(spec.env.get("HOME", ""))}; [ -n "$home" ] || read -r home <{_OWN_HOME}\n'
        text += "umask 077\n"
    first = len(spec.files)
    for top in dict.fromkeys(PurePosixPath(file.path).parts[0] for file in spec.home_files):
        place = f'"$home"/{quote(top)}'
        inside = [
            (index, file)
            for index, file in enumerate(spec.home_files, first)
            if PurePosixPath(file.path).parts[0] == top
        ]
        text += f"if [ -e {place} ] || [ -L {place} ]; then\n"
        text += "".join(f"echo {quote(LEFT_OUT + file.path)}\n" for _, file in inside)
        text += "else\n"
        text += "".join(_lines(file, f'"$home"/{quote(file.path)}', index) for index, file in inside)
        text += f'chown -R "$uid:$gid" {place}\nfi\n'
    return text + f": >{_READY}\nchmod 644 {_READY} {_OWN_HOME}\n"


def _lines(file: PlacedFile, place: str, index: int) -> str:
    """place: as a word of the shell."""
    if file.directory:
        return f"mkdir -p {place}\nchmod {file.mode:o} {place}\n"
    parent = f'mkdir -p "$(dirname {place})"\nrm -f {place}\n'
    if file.link:
        return f"{parent}ln -s {quote(file.link)} {place}\n"
    return f"{parent}cp {TARGET}/{index} {place}\nchmod {file.mode:o} {place}\n"


def left_out(output: bytes) -> tuple[str, ...]:
    """What `place` printed of files that it did not make."""
    lines: Iterable[str] = output.decode(errors="replace").splitlines()
    return tuple(line.removeprefix(LEFT_OUT) for line in lines if line.startswith(LEFT_OUT))


class Ids(msgspec.Struct, frozen=True):
    """The agent's numbers, from the spec's "uid:gid"."""

    uid: str
    gid: str

    @classmethod
    def of(cls, user: str) -> Ids:
        uid, _, gid = user.partition(":")
        return cls(uid or "0", gid or "0")
