"""What a log is judged by besides its entries, wherever it was read from: a database, a bundle, a proof.

Nothing here has been verified: these are the shapes in which evidence reaches the judge. FORMAT.md says
what each part means.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec


class TreeEvidence(msgspec.Struct, frozen=True):
    """A version 2 log's own. seed: hex. checkpoints, certificates: signed notes, by size and by number.

    frontier: the JSON that audit.db keeps; None where there is none to compare with. missing: what stands
    for it is not there at all.
    """

    origin: str
    seed: str
    checkpoints: tuple[str, ...]
    certificates: tuple[str, ...]
    frontier: str | None = None
    missing: tuple[str, ...] = ()


class Event(msgspec.Struct, frozen=True):
    """One event of the installation's log. body: its leaf's text; proof: that the log includes it."""

    body: str
    proof: tuple[str, ...]  # base64


class Installation(msgspec.Struct, frozen=True):
    """key: the installation's first. certificates: notes that introduce its keys 1, 2, … in order.

    checkpoint: a signed head of its log, "" when none is at hand; events: what that log says of one run.
    """

    key: bytes
    certificates: tuple[str, ...] = ()
    checkpoint: str = ""
    events: tuple[Event, ...] = ()


class Recorded(msgspec.Struct, frozen=True):
    """What this installation's own log, read on this machine, says of a run.

    start: the certificate of the run's key 0. size, root: the largest head that it heard of. closed: the
    close record's note, "" when it heard of none.
    """

    start: str
    size: int = 0
    root: bytes = b""
    closed: str = ""


def installation_from(parts: Mapping[str, Any]) -> Installation:
    """From the object that stands in a bundle under `installation`. Raises ValueError for another shape."""
    key, certificates = parts.get("key"), parts.get("keys")
    checkpoint, events = parts.get("checkpoint", ""), parts.get("events", [])
    sound = isinstance(key, str) and _texts(certificates) and isinstance(checkpoint, str)
    if not sound or not isinstance(events, list | tuple) or not all(_is_event(event) for event in events):
        raise ValueError("not the evidence of an installation")
    found = tuple(Event(event["body"], tuple(event["proof"])) for event in events)
    return Installation(strict_base64(str(key)), tuple(certificates or ()), checkpoint, found)


def _is_event(event: object) -> bool:
    return isinstance(event, dict) and isinstance(event.get("body"), str) and _texts(event.get("proof"))


def _texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)


def installation_parts(installation: Installation) -> dict[str, Any]:
    """The object for a bundle; without what is not at hand."""
    parts: dict[str, Any] = {
        "key": base64.b64encode(installation.key).decode(),
        "keys": list(installation.certificates),
    }
    if installation.checkpoint:
        parts["checkpoint"] = installation.checkpoint
        parts["events"] = [{"body": event.body, "proof": list(event.proof)} for event in installation.events]
    return parts


def strict_base64(text: str) -> bytes:
    """Standard base64 in its one spelling. Raises ValueError for any other, TypeError for no text."""
    raw = base64.b64decode(text.encode(), validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 in another spelling than the usual one")
    return raw
