"""What `~/.moat/config.yaml` says about the screen. A file that cannot be used is told, never fatal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine import Home


@dataclass(frozen=True, slots=True)
class Settings:
    """problem: lines that say why the file was not used; empty when it was, or when there is none."""

    theme: str = ""
    read_only: bool = False
    keymap: Mapping[str, str] = field(default_factory=dict)
    problem: tuple[str, ...] = ()
    decoys: bool = False


def load_settings(home: Home) -> Settings:
    """Without a file nothing is imported: the first picture must not wait for a YAML parser."""
    if not os.path.lexists(home.config_file):
        return Settings()
    from engine import load_host_config
    from moat_tui.screen.problems import explain

    try:
        config = load_host_config(home)
    except Exception as error:  # whatever is wrong with it, the screen opens
        return Settings(problem=(*explain(error), "Moat goes on with its defaults."))
    return Settings(config.theme, config.read_only, config.keymap, decoys=config.decoys)
