"""Where the installation's log is anchored, in the words of the Audit pane."""

from __future__ import annotations

from engine import Anchored, AnchorState
from moat_tui.screen.models.anchor_lines import anchor_pieces
from moat_tui.screen.models.chain_states import ChainStates

KEPT = AnchorState(Anchored("git", "backup", size=4, at="2026-01-12T09:59:00Z"), due=False)
DUE = AnchorState(Anchored("witness", "w.example"), due=True)
OTHER = AnchorState(Anchored("directory", "/mnt/\x1b[2J", conflict=True), due=True)


def said(*arguments) -> str:
    return "".join(text for text, _ in anchor_pieces(*arguments)).removeprefix("Anchors    ")


def test_what_is_known_of_the_places():
    assert said(None) == "…"
    assert said([]) == "none set up"
    assert said([KEPT]).endswith("✓")
    assert said([KEPT]).startswith("at 1 of 1 place, ")
    assert said([KEPT, DUE]).startswith("at 1 of 2 places, ")
    assert said([KEPT, DUE]).endswith("◌ waiting")
    assert said([DUE]) == "at 0 of 1 place ◌ waiting"


def test_another_history_comes_first_and_steers_nothing():
    assert said([KEPT, OTHER]) == "✗ another history at directory /mnt/␛[2J"
    assert said(None, "no \x07 file") == "✗ no ␇ file"


def test_a_run_that_goes_missing_while_somebody_looks_is_news_until_it_is_back():
    chains = ChainStates()
    assert chains.note_missing(["run_old"]) == ()
    assert chains.alarm([]) == ""
    assert chains.note_missing(["run_old", "run_b", "run_a"]) == ("run_a", "run_b")
    assert chains.note_missing(["run_old", "run_b", "run_a"]) == ()
    assert chains.alarm([]) == "✗ RUN MISSING: run_a and 1 more"
    assert chains.note_missing(["run_old"]) == ()
    assert chains.alarm([]) == ""
