"""The secrets room: references such as `op://vault/item/field`, resolved on the host before a run starts.

    resolve    all of a run's, at once        backends   where each value comes from

What a reference says is read by the config room (secret_reference), because agent.yaml holds some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import exports

if TYPE_CHECKING:
    from engine.secrets.resolve import Resolved as Resolved
    from engine.secrets.resolve import resolve_secrets as resolve_secrets

_HOMES = {
    ".resolve": ("Resolved", "resolve_secrets"),
}
__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = exports(__name__, _HOMES)
