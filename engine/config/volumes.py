"""Named storage of a workspace that its runs see, one after the other and at once. Pure.

volumes: [{name: cache, target: /cache, readonly: false}]        --volume cache:/cache[:ro]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from engine.config.places import WORKSPACE, Mount, check_target
from engine.config.values import Value, shown
from engine.config.yaml_tree import Mapping
from engine.errors import UsageError

MOST = 16

# No capitals: a directory is called so, and some file systems take Cache and cache for one.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Volume(msgspec.Struct, frozen=True):
    """target: absolute and normalised, in the container."""

    name: str
    target: str
    read_only: bool = False

    def __str__(self) -> str:
        return f"{self.name}:{self.target}:{'ro' if self.read_only else 'rw'}"


def parse_volume(text: str) -> Volume:
    """`NAME:TARGET[:ro|rw]`. Raises UsageError."""
    name, _, rest = text.partition(":")
    target, colon, mode = rest.partition(":")
    if mode not in ("ro", "rw") and (colon or not target):
        raise UsageError(
            f"volume {shown(text)}: expected NAME:TARGET, NAME:TARGET:ro or NAME:TARGET:rw",
            remedy="Write cache:/cache.",
        )
    return build_volume(name, target, read_only=mode == "ro")


def build_volume(name: str, target: str, *, read_only: bool) -> Volume:
    """The same from its parts."""
    check_volume_name(name)
    label = f"volume {name}"
    if not target.isprintable():
        raise UsageError(f"{label}: expected a path, found a control character in it")
    inside = check_target(target, label)
    if _overlap(inside, WORKSPACE):
        raise UsageError(
            f"{label}: {inside} in the container overlaps the workspace",
            remedy="Choose another target, such as /cache; what is in /workspace stays anyway.",
        )
    return Volume(name, inside, read_only)


def check_volume_name(name: str) -> None:
    """Raise UsageError for what cannot be a volume's name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"volume {shown(name)}: expected a name of small letters, digits, '.', '_' and '-'",
            remedy="Write cache:/cache; to show a directory of this machine, use a mount (-m).",
        )


def read_volumes(value: Value) -> tuple[Volume, ...]:
    """The list in agent.yaml. Raises ConfigError."""
    volumes: list[Volume] = []
    for item in value.items("volumes such as cache:/cache"):
        try:
            volumes.append(_read(item))
            check_volumes(volumes, ())
        except UsageError as error:
            raise item.explained(error) from None
    return tuple(volumes)


def _read(item: Value) -> Volume:
    if not isinstance(item.node, Mapping):
        return parse_volume(item.text("NAME:TARGET[:ro|rw]"))
    parts = item.section(("name", "target", "readonly"))
    for needed in ("name", "target"):
        if needed not in parts:
            raise item.refused(f"expected name and target, found no {needed}")
    read_only = parts["readonly"].flag() if "readonly" in parts else False
    return build_volume(parts["name"].text("a name"), parts["target"].text("a path"), read_only=read_only)


def check_volumes(volumes: Sequence[Volume], mounts: Iterable[Mount]) -> None:
    """Raise UsageError where one would lie in another, or in a mount, or the other way round.

    What lies in a volume is the agent's: a place in it could be a link by the time that something is put
    there.
    """
    if len(volumes) > MOST:
        raise UsageError(f"a run has at most {MOST} volumes", remedy="Leave some out.")
    seen: dict[str, str] = {mount.target: "the mount" for mount in mounts if mount.target != WORKSPACE}
    names: set[str] = set()
    for volume in volumes:
        if volume.name in names:
            raise UsageError(f"volume {volume.name} is named twice", remedy="Keep one of the two.")
        names.add(volume.name)
        for target, what in seen.items():
            if _overlap(volume.target, target):
                raise UsageError(
                    f"volume {volume.name}: {volume.target} overlaps {what} at {target}",
                    remedy="Give each a place of its own.",
                )
        seen[volume.target] = f"the volume {volume.name}"


def joined_volumes(
    asked: Iterable[Volume], given: Iterable[Volume], mounts: Iterable[Mount]
) -> tuple[Volume, ...]:
    """agent.yaml's and the person's own, who may put one elsewhere. Raises UsageError."""
    own = tuple(given)
    names = {volume.name for volume in own}
    volumes = (*(volume for volume in asked if volume.name not in names), *own)
    check_volumes(volumes, mounts)
    return volumes


def _overlap(one: str, other: str) -> bool:
    return (one + "/").startswith(other + "/") or (other + "/").startswith(one + "/")
