"""Keys for a log, as a new run gets them from its installation."""

from __future__ import annotations

from engine.audit import RunKeys, Signer
from engine.audit.keys import installation_origin

RUN = "run_a1"
BEGIN = "2026-01-01T00:00:00Z"


def keys_of(signer: Signer, run_id: str = RUN, ts: str = BEGIN) -> RunKeys:
    """signer: the installation's."""
    return RunKeys.begin(installation_origin(signer.public_key), run_id, signer, ts)
