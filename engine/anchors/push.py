"""Bring the newest head to every place that has not got it, in a process of its own: never in a run's way.

Only the newest head waits, for it contains all before it. A place that cannot be reached keeps its problem,
and is tried again at the next run, or by `moat witness push`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from engine.anchors.head import AnchorConflict, Anchored, Head, Place
from engine.anchors.kept import last_of, pushing, write_anchored, write_conflict
from engine.audit.checkpoint import parse_checkpoint
from engine.audit.note import parse_note
from engine.errors import MoatError
from engine.events import timestamp
from engine.home import Home


async def push(
    home: Home, places: Sequence[Place], newest: Callable[[], Head | None], *, wait: bool = False
) -> list[Anchored] | None:
    """Anchor the newest head at each place, side by side; what each says afterwards, in their order.

    newest: asked once no other process pushes, because an older head than the last would look like a log that
    was taken back. None when another process is at it, unless this waits for it. Raises what `newest` raises,
    and HomeError when the answers cannot be kept.
    """
    with pushing(home, wait=wait) as mine:
        if not mine:
            return None
        befores = [last_of(home, place) for place in places]
        head = newest()
        if head is None:
            return befores
        pairs = zip(places, befores, strict=True)
        afters = await asyncio.gather(*(_anchor(home, place, head, before) for place, before in pairs))
        for before, after in zip(befores, afters, strict=True):
            if after != before:
                write_anchored(home, after)
        return afters


def is_due(before: Anchored, head: Head) -> bool:
    """Whether the place has not got this head yet, or has one that this log never had."""
    return before.size != head.checkpoint.size or before.conflict or not _continues(before, head)


def _continues(before: Anchored, head: Head) -> bool:
    return not before.note or head.contains(parse_checkpoint(parse_note(before.note.encode()).text))


async def _anchor(home: Home, place: Place, head: Head, before: Anchored) -> Anchored:
    if not is_due(before, head):
        return before
    now = timestamp()
    try:
        if not _continues(before, head):
            raise AnchorConflict(
                f"this installation's log is not the one that {place.place} knows at size {before.size}",
                remedy="It was rewritten, or restored from a copy: keep everything as it is.",
                proof=f"Anchored at {before.place}:\n\n{before.note}\nThe log now:\n\n{head.note}",
            )
        body = await place.anchor(head, before)
    except AnchorConflict as error:
        problem = str(error)
        if error.proof:
            problem += f" The proof: {write_conflict(home, before, error.proof)}"
        return msgspec.structs.replace(before, problem=problem, tried_at=now, conflict=True)
    except MoatError as error:
        return msgspec.structs.replace(before, problem=str(error), tried_at=now)
    except Exception as error:  # whatever one place does, the others get theirs
        said = f"{place.place}: unexpected: {type(error).__name__}"
        return msgspec.structs.replace(before, problem=said, tried_at=now)
    return Anchored(place.kind, place.place, head.checkpoint.size, head.note, now, body)
