"""Which key logs in at which host, as the person granted it: `ssh.json` of a profile.

    {"mappings": [{"host", "key_fingerprint", "key_path"?, "created_at"}]}

is the Go Moat's format; ours adds `port` and `host_keys` (base64 blobs), the keys that the host was seen
or confirmed to have when it was granted. It holds no secret.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import msgspec

from engine.errors import CredentialUnreadable, GrantError
from engine.home import Home

if TYPE_CHECKING:
    from engine.ssh_agent.gatekeeper import SshGrant

PREFIX = "ssh:"
_FILE = "ssh.json"


class Mapping(msgspec.Struct, frozen=True, omit_defaults=True):
    host: str
    key_fingerprint: str
    created_at: str
    key_path: str = ""
    port: int = 22
    host_keys: tuple[str, ...] = ()

    @property
    def grant(self) -> str:
        """What a run names it: `ssh:HOST`."""
        return PREFIX + self.host

    def blobs(self) -> frozenset[bytes]:
        """Raises GrantError when the file was edited into something else."""
        try:
            return frozenset(base64.b64decode(text, validate=True) for text in self.host_keys)
        except (binascii.Error, ValueError) as error:
            raise GrantError(
                f"the host keys stored for {self.grant} are damaged",
                remedy=f"Grant it again: moat grant ssh --host {self.host}",
            ) from error


class _File(msgspec.Struct, frozen=True):
    mappings: tuple[Mapping, ...] = ()


class SshMappings:
    """One profile's ("" is the default)."""

    def __init__(self, home: Home, profile: str = "") -> None:
        """profile: checked by whoever named it."""
        self._home = home
        directory = home.credentials / "profiles" / profile if profile else home.credentials
        self.path = directory / _FILE

    def all(self) -> tuple[Mapping, ...]:
        """By host. Raises CredentialUnreadable for a file that is none."""
        try:
            found = msgspec.json.decode(self._home.read(self.path), type=_File)
        except FileNotFoundError:
            return ()
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise CredentialUnreadable(
                f"{self.path} cannot be used: {error}", remedy="Remove it, and grant the hosts again."
            ) from None
        return tuple(sorted(found.mappings, key=lambda item: item.host))

    def put(self, mapping: Mapping) -> None:
        """Add, or replace the one for that host."""
        others = [item for item in self.all() if item.host != mapping.host]
        self._write((*others, mapping))

    def delete(self, host: str) -> bool:
        """Whether there was one."""
        before = self.all()
        after = tuple(item for item in before if item.host != host)
        if after == before:
            return False
        self._write(after)
        return True

    def grants(self, names: tuple[str, ...]) -> tuple[SshGrant, ...]:
        """For the `ssh:HOST` names of a run. Raises GrantError naming the first that is not stored."""
        stored = {item.grant: item for item in self.all()}
        from engine.ssh_agent.gatekeeper import SshGrant

        found: list[SshGrant] = []
        for name in names:
            mapping = stored.get(name)
            if mapping is None:
                host = name.removeprefix(PREFIX)
                raise GrantError(
                    f"there is no SSH grant for {host[:80]!r}",
                    remedy=f"Make one: moat grant ssh --host {host[:80]}",
                )
            found.append(SshGrant(mapping.host, frozenset({mapping.key_fingerprint}), mapping.blobs()))
        return tuple(found)

    def _write(self, mappings: tuple[Mapping, ...]) -> None:
        self._home.write(
            self.path, msgspec.json.format(msgspec.json.encode(_File(mappings)), indent=2) + b"\n"
        )
