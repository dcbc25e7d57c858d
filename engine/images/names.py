"""The name of an image that Moat makes: a hash of all that decides what is in it, so that what is here under
that name is never made again, and whatever has changed has another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from engine.images.plan import Step

REPOSITORY = "moat-image"
_FORMAT = 1  # of how a step is carried out; another number makes all images anew


def image_names(
    home_label: str, ids: Mapping[str, str], base: str, steps: Sequence[Step], user: str
) -> tuple[str, ...]:
    """One name per step, "moat-image:" and 32 hex digits; the last is the whole image's.

    ids: of `base` and of the steps' sources: a name such as node:20-slim leads to other images with time.
    user: the agent's "uid:gid". home_label: no installation uses another's.
    """
    digest = _digest("", [_FORMAT, home_label, ids[base]])
    names = []
    for step in steps:
        copied = [ids[step.source], *step.paths] if step.source else []
        digest = _digest(digest, [step.script, user if step.as_agent else "", *copied])
        names.append(f"{REPOSITORY}:{digest[:32]}")
    return tuple(names)


def _digest(before: str, parts: Sequence[object]) -> str:
    text = json.dumps([before, *parts], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
