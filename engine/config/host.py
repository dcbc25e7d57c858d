"""`~/.moat/config.yaml`: what a person settled once for this installation.

theme        the screen's theme: moat-dark, moat-light, ansi-dark …
read_only    true: the screen shows everything and changes nothing
decoys       true: plant bait in every run
workspace_record   false: do not record what an agent does to its workspace
snapshot_at_start  false: keep no snapshot of the workspace when a run starts
keymap       mapping of an action's id to its keys, e.g. `run.stop: ctrl+x` or `run.kill: X,f9`
network      what runs may reach here and how; see host_network.py
docker       the images of docker:dind; see host_docker.py
audit        where the installation's log is anchored; see host_audit.py

Which ids and themes there are, only the screen knows; here their form is checked.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from engine.home import Home

if TYPE_CHECKING:
    from engine.config.rules import HostRules

_KEYS = (
    "theme",
    "read_only",
    "decoys",
    "workspace_record",
    "snapshot_at_start",
    "keymap",
    "network",
    "docker",
    "audit",
)
_THEME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ID = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)+")
# Names such as ctrl+x, f5, space; a sign such as ? stands for itself; a comma is written `comma`.
_PRESSED = re.compile(r"[^\s,]{1,40}(\s*,\s*[^\s,]{1,40})*")


class HostNetwork(msgspec.Struct, frozen=True):
    """Empty means: not said. rules: the person's own; approval_timeout: seconds."""

    rules: tuple[HostRules, ...] = ()
    approval_timeout: int = 60
    allow_private: tuple[str, ...] = ()
    passthrough: tuple[str, ...] = ()
    upstream_proxy: str = ""
    upstream_ca: str = ""

    def __repr__(self) -> str:
        """Without the proxy's URL, which may hold a password."""
        return f"HostNetwork(rules={self.rules!r}, allow_private={self.allow_private!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("rules", self.rules), ("allow_private", self.allow_private)]


class HostDocker(msgspec.Struct, frozen=True):
    """Images of daemons that are all but root on this machine: a person's choice, never a workspace's.

    buildkit_image: "" for none.
    """

    dind_image: str = "docker:28-dind"
    buildkit_image: str = "moby/buildkit:buildx-stable-1"  # the tag that Docker's own buildx takes


class HostWitness(msgspec.Struct, frozen=True):
    """One of directory, git and url is said; with url also its verifier key."""

    directory: str = ""
    git: str = ""
    url: str = ""
    key: str = ""


class HostTimestamps(msgspec.Struct, frozen=True):
    url: str
    ca: str


class HostRekor(msgspec.Struct, frozen=True):
    url: str
    key: str


class HostAudit(msgspec.Struct, frozen=True):
    """Where heads are anchored, in the order of the file."""

    witnesses: tuple[HostWitness, ...] = ()
    timestamps: HostTimestamps | None = None
    rekor: HostRekor | None = None


class HostConfig(msgspec.Struct, frozen=True):
    """Empty means: not said. keymap: id -> keys with commas between, e.g. "x,ctrl+x"."""

    theme: str = ""
    read_only: bool = False
    keymap: dict[str, str] = {}
    network: HostNetwork = HostNetwork()
    decoys: bool = False
    audit: HostAudit = HostAudit()
    workspace_record: bool = True
    docker: HostDocker = HostDocker()
    snapshot_at_start: bool = True


def load_host_config(home: Home) -> HostConfig:
    """What the file says, defaults when there is none. Raises ConfigError (file, line, key), HomeError."""
    file = home.check(home.config_file)
    if not os.path.lexists(file):
        return HostConfig()
    from engine.config.host_audit import read_host_audit
    from engine.config.host_docker import read_host_docker
    from engine.config.host_network import read_host_network
    from engine.config.values import Value
    from engine.config.yaml_tree import Mapping, read_yaml

    tree = read_yaml(file)
    if tree is None:
        return HostConfig()
    root = Value(file, "", tree)
    if not isinstance(tree, Mapping) and not root.empty:
        raise root.wrong(
            "a mapping of keys to values", remedy="Start with a line such as `theme: moat-light`."
        )
    keys = root.section(_KEYS)
    keymap: dict[str, str] = {}
    for name, value in keys["keymap"].pairs("ids to keys").items() if "keymap" in keys else ():
        if not _ID.fullmatch(name):
            raise value.refused("expected an id such as run.stop")
        text = value.matching(_PRESSED, "keys such as x or ctrl+x,f5", numbers=True)
        keymap[name] = ",".join(part.strip() for part in text.split(","))
    return HostConfig(
        theme=keys["theme"].matching(_THEME, "the name of a theme") if "theme" in keys else "",
        read_only=keys["read_only"].flag() if "read_only" in keys else False,
        keymap=keymap,
        network=read_host_network(keys["network"]) if "network" in keys else HostNetwork(),
        decoys=keys["decoys"].flag() if "decoys" in keys else False,
        audit=read_host_audit(keys["audit"]) if "audit" in keys else HostAudit(),
        workspace_record=keys["workspace_record"].flag() if "workspace_record" in keys else True,
        docker=read_host_docker(keys["docker"]) if "docker" in keys else HostDocker(),
        snapshot_at_start=keys["snapshot_at_start"].flag() if "snapshot_at_start" in keys else True,
    )


def save_theme(home: Home, theme: str) -> None:
    """Remember `theme`, keeping the rest, comments too. A file that cannot be read is left as it is: raises
    as `load_host_config` does, so that what a person wrote by hand is never lost to a mistake in it."""
    if load_host_config(home).theme != theme:
        from engine.config.host_edit import edit_host_config

        def set_theme(settings: MutableMapping[str, Any]) -> None:
            settings["theme"] = theme

        edit_host_config(home, set_theme)


def allow_host(home: Home, host: str) -> None:
    """Add `host` (a pattern, perhaps with a port) to the person's own rules: every request to it may go.

    It comes last, so that whatever the person denied stays denied. Errors as in `save_theme`.
    """
    if any(entry.host == host and not entry.rules for entry in load_host_config(home).network.rules):
        return
    from engine.config.host_edit import edit_host_config
    from engine.config.rules import parse_rule_host

    name = parse_rule_host(host)

    def add(settings: MutableMapping[str, Any]) -> None:
        for key, empty in (("network", dict), ("rules", list)):
            if settings.get(key) is None:
                settings[key] = empty()
            settings = settings[key]
        cast("list[str]", settings).append(name)

    edit_host_config(home, add)
