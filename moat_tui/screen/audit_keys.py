"""The keys of the audit screen, and its help."""

from __future__ import annotations

from textual.binding import Binding, BindingType

HELP = """
# Audit
Every use of a credential and every refusal, in a chain of hashes. Digits choose a type, `enter` opens an
entry, `c` goes to the chains of all runs, the missing ones too. Where a chain breaks, a line stands before
the first entry that does not fit. A proof bundle (`x`) verifies on any machine (`f`);
a dossier (`d`) tells the run's story on one page.
"""

KEYS: list[BindingType] = [
    Binding("enter", "open", "Open", id="log.open", tooltip="All of this entry, or this run's log"),
    Binding("v", "verify", "Verify", id="log.verify", tooltip="Verify this run's chain from its start"),
    Binding(
        "V",
        "verify_all",
        "Verify all",
        show=False,
        id="log.verify-all",
        tooltip="Verify all runs' chains",
    ),
    Binding("x", "export", "Export", id="log.export", tooltip="Write a proof bundle of this log"),
    Binding("d", "dossier", "Dossier", id="log.dossier", tooltip="Write this run's story for a browser"),
    Binding("f", "verify_file", "Verify file", id="log.verify-file", tooltip="Verify a proof bundle"),
    Binding("c", "chains", "Chains", id="log.chains", tooltip="To the chains of all runs, and back"),
    Binding("b", "to_break", "Break", id="log.break", tooltip="To where the chain breaks"),
    Binding("t", "next_type(1)", "Type", show=False, id="log.type", tooltip="The next type of entries"),
    Binding("T", "next_type(-1)", "Type", show=False, id="log.type-back", tooltip="The type before"),
    *(
        Binding(str(place), f"type({place})", "Type", show=False, id=f"log.type-{place}")
        for place in range(10)
    ),
    Binding("escape,q", "back", "Back", id="log.back", tooltip="Cancel verifying, or leave this screen"),
]
