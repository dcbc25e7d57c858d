"""What a container's file system gets before it starts: the spec's files, and a place for the agent's user.

All of it goes in as one archive, because each such request makes Docker mount the container's layers.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import PurePosixPath

import aiodocker
from aiodocker.containers import DockerContainer

from engine.runtimes.docker.body import runs_as_root
from engine.runtimes.home_files import NONE, OwnFiles, own_files
from engine.runtimes.spec import ContainerSpec, PlacedFile
from engine.runtimes.user import GROUP, HOME, PASSWD, home_of, ids_of, known_user, with_group, with_user

# Directories that Moat alone makes. Above any other path nothing is said about directories: to name one
# would replace the link that some images have there (Fedora's /etc/ssl/certs).
_OWN = ("/moat", "/home/moat", "/run/moat")
_PROGRAMS = ("/usr/local/bin", "/usr/bin", "/bin")


async def place_files(container: DockerContainer, spec: ContainerSpec) -> tuple[str, ...]:
    """For a created container that has not started. At most three requests, the two reads at once; some more
    for files of the agent's home directory. Returns the paths of those that were left out.
    """
    files = list(spec.files)
    home: tuple[int, int] | None = None
    if not runs_as_root(spec.user) and (ids := ids_of(spec.user)):
        uid, gid = ids
        passwd, group = await asyncio.gather(_read(container, PASSWD), _read(container, GROUP))
        if not known_user(passwd, uid):
            home = (uid, gid)
        files += [
            PlacedFile(path, after)
            for path, before, after in (
                (PASSWD, passwd, with_user(passwd, uid, gid)),
                (GROUP, group, with_group(group, gid)),
            )
            if before != after
        ]
    own = NONE
    if spec.home_files:
        found = HOME if home else home_of(await _read(container, PASSWD), spec.user)
        own = await own_files(spec, found, made=home is not None, exists=partial(_exists, container))
    if files or home or own.files:
        # aiodocker has no types here
        await container.put_archive("/", make_archive(files, home, own))  # type: ignore[no-untyped-call]
    return own.left_out


def make_archive(files: Iterable[PlacedFile], home: tuple[int, int] | None, own: OwnFiles = NONE) -> bytes:
    """A tar for the container's root. `home` is the uid and gid of the owner of /home/moat, None for no home.

    Everything else belongs to root, but for the agent's `own`, which are of now as a person's files are.
    Directories of Moat's own come before what is in them.
    """
    files = list(files)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for directory in sorted({parent for file in files for parent in _own_parents(file.path)}):
            archive.addfile(_directory(directory, 0o755, 0, 0))
        if home:
            archive.addfile(_directory(HOME, 0o700, *home))
        for file in files:
            archive.addfile(*_entry(file))
        for file in own.files:
            entry, content = _entry(file)
            entry.uid, entry.gid = own.owner
            entry.mtime = int(time.time())
            archive.addfile(entry, content)
    return buffer.getvalue()


def _entry(file: PlacedFile) -> tuple[tarfile.TarInfo, io.BytesIO]:
    entry = tarfile.TarInfo(file.path.lstrip("/"))
    entry.mode = file.mode
    entry.size = len(file.content)
    if file.link:
        entry.type, entry.linkname = tarfile.SYMTYPE, file.link
    elif file.directory:
        entry.type = tarfile.DIRTYPE
    return entry, io.BytesIO(file.content)


def _own_parents(path: str) -> list[str]:
    return [
        str(parent)
        for parent in PurePosixPath(path).parents
        if any(parent == PurePosixPath(own) or PurePosixPath(own) in parent.parents for own in _OWN)
    ]


def _directory(path: str, mode: int, uid: int, gid: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, uid, gid
    return entry


async def lacking_programs(container: DockerContainer, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that are nowhere among the image's programs. Only directories that are usual count."""
    lacking = []
    for name in names:
        found = [await _stands(container, f"{place}/{name}") for place in _PROGRAMS]
        if not any(found):
            lacking.append(name)
    return tuple(lacking)


async def _stands(container: DockerContainer, path: str) -> bool:
    """Without its content, which for a program is long. aiodocker reads the body of a refusal, and HEAD has
    none.
    """
    docker = container.docker
    url = f"{docker.docker_host}/{docker.api_version}/containers/{container.id}/archive"
    async with docker.session.head(url, params={"path": path}) as response:
        return response.ok


async def _exists(container: DockerContainer, path: str) -> bool:
    try:
        await container.get_archive(path)
    except aiodocker.DockerError as error:
        if error.status == 404:
            return False
        raise
    return True


async def _read(container: DockerContainer, path: str) -> bytes:
    """The file's bytes; nothing when the image has no such file (a bare one knows no users at all)."""
    try:
        archive = await container.get_archive(path)
    except aiodocker.DockerError as error:
        if error.status == 404:
            return b""
        raise
    for entry in archive:
        file = archive.extractfile(entry) if entry.isfile() else None
        if file is not None:
            return file.read()
    return b""
