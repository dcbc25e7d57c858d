"""Changing `~/.moat/config.yaml` from a program, and leaving alone all that a person wrote there."""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Callable, MutableMapping
from typing import Any

from engine.config.host import load_host_config
from engine.home import Home


def edit_host_config(home: Home, change: Callable[[MutableMapping[str, Any]], None]) -> None:
    """Apply `change` to the settings, keeping comments, order and quotes; the file is replaced whole.

    Raises what `load_host_config` raises for a file that cannot be read, and leaves it as it is then.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    home.ensure_dir(home.root)
    # Supervisors and screens of several runs may want to write at once: one would lose the other's change.
    lock = os.open(home.root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        load_host_config(home)  # refuses what the strict reader would not take
        yaml = YAML()
        yaml.preserve_quotes = True
        yaml.width = 4096
        yaml.indent(mapping=2, sequence=4, offset=2)
        try:
            text = home.read(home.config_file).decode("utf-8-sig")
        except FileNotFoundError:
            text = ""
        settings = yaml.load(text)
        if settings is None:
            settings = CommentedMap()
        change(settings)
        written = io.StringIO()
        yaml.dump(settings, written)
        lead = text if text.strip() and not _says_anything(text) else ""
        home.write(home.config_file, (lead + written.getvalue()).encode())
    finally:
        os.close(lock)


def _says_anything(text: str) -> bool:
    """False for a file of comments only, which the round trip would lose."""
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())
