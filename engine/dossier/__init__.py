"""The dossier: a run's story on one page, for a reviewer who has never seen Moat and has no network.

    story      what the run's log and request log add up to, pure
    collect    reading them
    workspace  what became of the workspace, in lines
    visible    text of agents made harmless to read
    page       from all of it to one HTML file: dossier.html, dossier.css and dossier.js, put into each other

Everything from the run is untrusted. It is escaped in one place, the template engine's; the page may load
nothing (its content security policy allows its own style and script by their hashes), and what verifies
the log there is dossier.js with the proof bundle that the page carries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import exports

if TYPE_CHECKING:
    from engine.dossier.collect import verified_dossier as verified_dossier
    from engine.dossier.collect import write_dossier as write_dossier

_HOMES = {".collect": ("verified_dossier", "write_dossier")}
__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = exports(__name__, _HOMES)
