"""The ids that the README names for the keymap exist."""

from __future__ import annotations

import re
from pathlib import Path

from moat_tui.screen.keymap import all_places

README = (Path(__file__).parents[3] / "README.md").read_text()


def test_ids_in_the_readme_exist():
    section = README.partition("### This installation's settings")[2].partition("\n### ")[0]
    named = set(re.findall(r"`((?:run|grant|pane|view|app)\.[a-z-]+)", section))
    assert len(named) > 15
    assert named <= {name for place in all_places() for name in place}
