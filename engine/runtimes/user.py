"""A name and a home for the agent's user id.

On Linux the agent runs with the ids of the person who ran Moat, which the image does not know. ssh
refuses to work for an id without a passwd entry, and git, pip and npm want a home they can write to. So
the image's own /etc/passwd and /etc/group get a line each. An id that the image does know keeps its
name and home there.
"""

from __future__ import annotations

NAME = "moat"
HOME = f"/home/{NAME}"
PASSWD = "/etc/passwd"
GROUP = "/etc/group"


def ids_of(user: str) -> tuple[int, int] | None:
    """Those of "uid:gid"; None for a name, which the image knows."""
    uid, _, gid = user.partition(":")
    return (int(uid), int(gid)) if uid.isdigit() and gid.isdigit() else None


def known_user(passwd: bytes, uid: int) -> bool:
    return _has_id(passwd, uid)


def with_user(passwd: bytes, uid: int, gid: int) -> bytes:
    """/etc/passwd with the agent's line; unchanged when the id has one."""
    if _has_id(passwd, uid):
        return passwd
    return _with_line(passwd, f"{NAME}:x:{uid}:{gid}::{HOME}:/bin/sh")


def with_group(group: bytes, gid: int) -> bytes:
    """/etc/group with the agent's line; unchanged when the id has one."""
    return group if _has_id(group, gid) else _with_line(group, f"{NAME}:x:{gid}:")


def home_of(passwd: bytes, user: str) -> str:
    """The home directory that the container's user (name or id, with a group or without) has there; "" if
    none is named.
    """
    wanted = (user.partition(":")[0] or "0").encode()
    for line in passwd.splitlines():
        fields = line.split(b":")
        if len(fields) >= 6 and wanted in (fields[0], fields[2]):
            return fields[5].decode("utf-8", "replace")
    return ""


def _has_id(table: bytes, number: int) -> bool:
    """Both tables have the id in their third field."""
    wanted = str(number).encode()
    return any(line.split(b":")[2:3] == [wanted] for line in table.splitlines())


def _with_line(table: bytes, line: str) -> bytes:
    joint = b"" if not table or table.endswith(b"\n") else b"\n"
    return table + joint + line.encode() + b"\n"
