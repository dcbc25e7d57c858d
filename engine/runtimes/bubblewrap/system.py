"""What a sandbox sees of a system: this machine's, as far as its programs go, or a directory tree's.

The root is an empty place in memory; what is shown is mounted into it read-only, piece by piece. A place
that something of Moat's or a mount takes, and that is not there to be mounted on, is a hole: the directories
above it are taken apart and shown entry by entry around it, because nothing can be made in them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import PurePosixPath

import msgspec

# Programs and their libraries. Not /opt, /srv, /var, /mnt, where this machine's services and data are.
_PROGRAMS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Of /etc what makes programs run, and nothing that says who may enter this machine or how it reaches others.
_SETTINGS = (
    "alternatives", "bash.bashrc", "bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies",
    "debian_version", "fonts", "gai.conf", "host.conf", "inputrc", "java", "ld.so.cache", "ld.so.conf",
    "ld.so.conf.d", "locale.alias", "locale.conf", "localtime", "lsb-release", "magic", "mailcap",
    "mime.types", "nanorc", "networks", "os-release", "perl", "pki/ca-trust", "pki/tls/cert.pem",
    "pki/tls/certs", "pki/tls/openssl.cnf", "profile", "profile.d", "protocols", "python3", "redhat-release",
    "rpc", "services", "skel", "ssh/ssh_config", "ssl/cert.pem", "ssl/certs", "ssl/openssl.cnf",
    "terminfo", "timezone",
    "vim", "zsh",
)  # fmt: skip
# Every sandbox's own, whatever the system has there.
RESERVED = ("dev", "home", "moat", "proc", "root", "run", "sys", "tmp", "workspace")

_LINKS = 40  # followed in one path, as the kernel does


class System(msgspec.Struct, frozen=True):
    """root: the directory tree, "" for this machine's own."""

    root: str = ""

    def shown(self) -> Iterator[str]:
        """Paths in the sandbox, each outside the others."""
        if self.root:
            yield from (f"/{name}" for name in sorted(os.listdir(self.root)) if name not in RESERVED)
            return
        yield from (f"/{name}" for name in _PROGRAMS if os.path.lexists(f"/{name}"))
        yield from (f"/etc/{name}" for name in _SETTINGS if os.path.lexists(f"/etc/{name}"))

    def resolved(self, path: str) -> str:
        """`path` in the sandbox with the links above its last part followed, as they lead inside."""
        parent, name = os.path.split(os.path.normpath(path))
        return os.path.join(self._followed(parent), name)

    def words(self, holes: Collection[str]) -> list[str]:
        """bubblewrap's options that show it. holes: resolved paths, at which nothing of it must be."""
        return [word for place in self.shown() for word in self._show(place, frozenset(holes))]

    def is_hole(self, path: str, *, directory: bool | None) -> bool:
        """Whether nothing can be mounted on that resolved path as it is. directory: what shall be mounted;
        None for a link, which takes a place for itself.
        """
        source = self.root + path
        if directory is None or os.path.islink(source) or not os.path.lexists(source):
            return True
        return os.path.isdir(source) != directory

    def read(self, path: str) -> bytes:
        """A file of the tree; nothing when there is none."""
        try:
            with open(self.root + self.resolved(path), "rb") as file:
                return file.read()
        except OSError:
            return b""

    def _show(self, target: str, holes: frozenset[str]) -> Iterator[str]:
        source = self.root + target
        if target in holes:
            return
        if os.path.islink(source):
            yield from ("--symlink", os.readlink(source), target)
        elif any(hole.startswith(target + "/") for hole in holes) and os.path.isdir(source):
            yield from ("--dir", target)
            for name in sorted(os.listdir(source)):
                yield from self._show(f"{target}/{name}", holes)
        elif os.path.isdir(source) or os.path.isfile(source):  # no socket, pipe or device
            yield from ("--ro-bind", source, target)

    def _followed(self, path: str) -> str:
        links = 0
        found, rest = "/", [part for part in path.split("/") if part]
        while rest:
            part = rest.pop(0)
            if part == "..":
                found = os.path.dirname(found)
                continue
            here = os.path.join(found, part)
            if not os.path.islink(self.root + here) or here[1:] in RESERVED or links == _LINKS:
                found = here
                continue
            links += 1
            to = os.readlink(self.root + here)
            found = "/" if to.startswith("/") else found
            rest = [each for each in to.split("/") if each not in ("", ".")] + rest
        return found


def hidden_places(system: System, places: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Where in the sandbox, and whether it is a directory, those of this machine's places can be seen that
    must not be. For this machine's own system; a tree is checked when it is chosen.
    """
    if system.root:
        return
    shown = [os.path.realpath(place) for place in system.shown()]
    for place in sorted({os.path.realpath(place) for place in places}):
        if os.path.lexists(place) and any(PurePosixPath(place).is_relative_to(each) for each in shown):
            yield place, os.path.isdir(place)
