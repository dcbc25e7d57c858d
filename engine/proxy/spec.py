"""What a run tells its proxy: whom to serve, where it may go, which credentials to attach.

Built by engine/run from grants and credentials; it lives in the supervisor's memory only. Nothing here
prints a value: every struct that holds one has its own repr.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.config.grant_limits import Limits, Scope
from engine.config.policies import PERMISSIVE, POLICIES
from engine.config.rules import HostRules
from engine.errors import ProxyError
from engine.proxy.destination import Destination
from engine.proxy.dial import ConnectTo
from engine.proxy.upstream_proxy import UpstreamProxy

if TYPE_CHECKING:
    from engine.proxy.served import Served


class HostRule(msgspec.Struct, frozen=True):
    """One place where a grant's credential goes: hosts ("api.github.com", "*.openai.com"), ports, header."""

    pattern: str
    header: str
    ports: tuple[int, ...] = (443,)


class Injection(msgspec.Struct, frozen=True):
    """One grant of the run.

    values: the rendered header value of each rule, in the rules' order.
    placeholders: the values its environment variables have inside the container.
    secrets: the raw values to blot out of everything recorded (`values` are blotted out anyway).
    scope_name, scope: the named scope, if the grant is narrowed to one. limits: each must hold.
    """

    grant: str
    rules: tuple[HostRule, ...]
    values: tuple[str, ...]
    placeholders: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    scope_name: str = ""
    scope: Scope | None = None
    limits: tuple[Limits, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.grant}:{self.scope_name}" if self.scope_name else self.grant

    def __repr__(self) -> str:
        return f"Injection(grant={self.grant!r}, rules={self.rules!r}, placeholders={self.placeholders!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("grant", self.grant), ("rules", self.rules), ("placeholders", self.placeholders)]


class Decoy(msgspec.Struct, frozen=True):
    """Bait in the container. name: where it lies, for a person. values: what gives it away when it leaves,
    each at least 8 characters that stand nowhere else.
    """

    name: str
    values: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Decoy({self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("name", self.name)]


class ProxySpec(msgspec.Struct, frozen=True):
    """Everything one run's proxy needs to know.

    token: what the container shows as the password of user `moat` (32 random bytes as text).
    subnet: peers outside it are dropped unread, e.g. "172.30.1.0/24"; several, separated by commas.
    alone: only the run can connect at all, so who speaks from the proxy's own address is the run too.
    rules: of the workspace. own_rules: the person's, which come first. Host-side only.
    connect_to: the person's own detours. Host-side only.
    upstream_ca: a PEM file that is trusted for upstreams besides the system's own. Host-side only.
    hidden: further values to blot out of everything recorded: the run's secrets.
    private: the private destinations that a person opened. Host-side only.
    upstream_proxy: the network's own proxy, which connections go through. Host-side only.
    passthrough: hosts whose TLS is not intercepted, as in `allow`; a grant's host always is.
    served: what the proxy itself gives to its run.
    decoys: what freezes the run's network when it is seen leaving.
    ssh: the SSH servers of the run's grants; tunnels to them carry SSH alone.
    strangers: addresses inside the subnet that are dropped all the same: what else is on the run's network.
    """

    run_id: str
    token: str
    subnet: str
    mode: str = PERMISSIVE
    allow: tuple[str, ...] = ()
    injections: tuple[Injection, ...] = ()
    rules: tuple[HostRules, ...] = ()
    own_rules: tuple[HostRules, ...] = ()
    connect_to: tuple[ConnectTo, ...] = ()
    upstream_ca: Path | None = None
    hidden: tuple[str, ...] = ()
    private: tuple[Destination, ...] = ()
    passthrough: tuple[str, ...] = ()
    upstream_proxy: UpstreamProxy | None = None
    served: tuple[Served, ...] = ()
    decoys: tuple[Decoy, ...] = ()
    ssh: tuple[Destination, ...] = ()
    alone: bool = False
    strangers: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ProxySpec(run_id={self.run_id!r}, mode={self.mode!r}, injections={self.injections!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("run_id", self.run_id), ("mode", self.mode), ("injections", self.injections)]

    def check(self) -> None:
        """Raises ProxyError for what would make the proxy unsafe rather than merely useless."""
        if len(self.token) < 32 or not self.token.isascii() or not self.token.isprintable():
            raise ProxyError("the run's proxy token is not a printable text of at least 32 characters")
        if self.mode not in POLICIES:
            raise ProxyError(
                f"unknown network policy {self.mode!r}", remedy=f"Use one of: {', '.join(POLICIES)}."
            )
        for injection in self.injections:
            if len(injection.values) != len(injection.rules):
                raise ProxyError(f"grant {injection.grant} has not one value for each of its hosts")
            for value in injection.values:
                if not value.strip() or not value.isascii() or not value.isprintable():
                    raise ProxyError(
                        f"the credential of grant {injection.grant} cannot be sent as a header value: it is "
                        "empty, or holds a line break or another character that headers cannot carry",
                        remedy=f"Store it again: moat grant {injection.grant}",
                    )
