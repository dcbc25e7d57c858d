"""The help: places with their keys in columns, folded to the width there is."""

from __future__ import annotations

from rich.cells import cell_len

from moat_tui.screen.models.help_lines import KeyHelp, PlaceHelp, heading, help_lines

TEXT = "\n# Runs\nEvery run,\nnewest first.\n\n`x` stops *one*.\n"


def lines(*places, width=40):
    return ["".join(text for text, _ in line) for line in help_lines(places, width)]


def test_prose_is_joined_and_its_keys_set_off():
    shown = help_lines([PlaceHelp("Runs", TEXT, [])], 40)
    assert [("Every run, newest first.", "")] in shown
    assert [("", ""), ("x", "strong"), (" stops one.", "")] in shown
    assert heading(TEXT) == "Runs"
    assert heading("no heading") == ""


def test_what_a_key_does_is_folded_below_itself_and_says_when_it_cannot_be_done():
    keys = [
        KeyHelp("⏎ o", "Output", "Open what the selected run has printed"),
        KeyHelp("d", "Destroy", "Remove", possible=False),
    ]
    shown = lines(PlaceHelp("Runs", "", keys))
    assert shown[1:] == [
        "⏎ o  Output   Open what the selected run",
        "              has printed",
        "  d  Destroy  Remove (not now)",
    ]
    assert all(cell_len(line) <= 40 for line in shown)
