"""Where in the agent's home directory files may be put: nowhere that belongs to the image or to a mount."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import PurePosixPath

import msgspec

from engine.runtimes.spec import Bind, ContainerSpec, PlacedFile


class OwnFiles(msgspec.Struct, frozen=True):
    """owner: uid and gid. files: by absolute paths, each directory before what is in it. left_out: paths
    as the spec has them.
    """

    owner: tuple[int, int] = (0, 0)
    files: tuple[PlacedFile, ...] = ()
    left_out: tuple[str, ...] = ()


NONE = OwnFiles()


async def own_files(
    spec: ContainerSpec, home: str, *, made: bool, exists: Callable[[str], Awaitable[bool]]
) -> OwnFiles:
    """home: the agent's, as the image names it; made: it is new, and so has nothing in it. exists: asked
    about the image. What lies in one directory of the home goes there together or not at all.
    """
    uid, _, gid = (spec.user or "0:0").partition(":")
    root = PurePosixPath(spec.env.get("HOME") or home or "/")
    tops = sorted({PurePosixPath(file.path).parts[0] for file in spec.home_files})
    free = [top for top in tops if root.is_absolute() and not _is_mounted(root / top, spec.binds)]
    if not made or str(root) != home:
        taken = await asyncio.gather(*(exists(str(root / top)) for top in free))
        free = [top for top, there in zip(free, taken, strict=True) if not there]
    files: dict[str, PlacedFile] = {}
    left_out = []
    for file in spec.home_files:
        place = PurePosixPath(file.path)
        if place.parts[0] not in free:
            left_out.append(file.path)
            continue
        for parent in list(place.parents)[-2::-1]:  # without the home directory itself
            files[str(parent)] = PlacedFile(str(root / parent), directory=True, mode=0o700)
        files[file.path] = msgspec.structs.replace(file, path=str(root / place))
    return OwnFiles((int(uid), int(gid)), tuple(files.values()), tuple(left_out))


def _is_mounted(place: PurePosixPath, binds: Iterable[Bind]) -> bool:
    """Whether what is written there would be written outside the container."""
    targets = [PurePosixPath(bind.target) for bind in binds]
    return any(target == place or target in place.parents or place in target.parents for target in targets)
