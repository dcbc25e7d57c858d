"""`~/.moat/config.yaml`: what a person settled once for this installation.

theme        the screen's theme: moat-dark, moat-light, ansi-dark …
read_only    true: the screen shows everything and changes nothing
keymap       mapping of an action's id to its keys, e.g. `run.stop: ctrl+x` or `run.kill: X,f9`

Which ids and themes there are, only the screen knows; here their form is checked.
"""

from __future__ import annotations

import os
import re

import msgspec

from engine.home import Home

_KEYS = ("theme", "read_only", "keymap")
_THEME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ID = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)+")
# Names such as ctrl+x, f5, space; a sign such as ? stands for itself; a comma is written `comma`.
_PRESSED = re.compile(r"[^\s,]{1,40}(\s*,\s*[^\s,]{1,40})*")


class HostConfig(msgspec.Struct, frozen=True):
    """Empty means: not said. keymap: id -> keys with commas between, e.g. "x,ctrl+x"."""

    theme: str = ""
    read_only: bool = False
    keymap: dict[str, str] = {}


def load_host_config(home: Home) -> HostConfig:
    """What the file says, defaults when there is none. Raises ConfigError (file, line, key), HomeError."""
    file = home.check(home.config_file)
    if not os.path.lexists(file):
        return HostConfig()
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
    )


def save_theme(home: Home, theme: str) -> None:
    """Remember `theme`, keeping the rest. A file that cannot be read is left as it is: raises as
    `load_host_config` does, so that what a person wrote by hand is never lost to a mistake in it."""
    config = load_host_config(home)
    if config.theme != theme:
        _write(home, msgspec.structs.replace(config, theme=theme))


def _write(home: Home, config: HostConfig) -> None:
    import yaml

    said = {name: value for name in _KEYS if (value := getattr(config, name))}
    home.write(home.config_file, yaml.safe_dump(said, sort_keys=False, allow_unicode=True).encode())
