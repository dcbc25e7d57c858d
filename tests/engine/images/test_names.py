"""An image's name changes with whatever decides what is in it, and with nothing else."""

from __future__ import annotations

import msgspec
import pytest

from engine.images import Step, image_names

IDS = {"base": "sha256:b", "node:20-slim": "sha256:n"}
STEPS = (
    Step("node@20", "check", source="node:20-slim", paths=("/usr/local/bin/node",)),
    Step("packages jq", "apt"),
    Step("hook post_build", "echo", as_agent=True),
)


def names(ids=IDS, steps=STEPS, user="1000:1000", home="h"):
    return image_names(home, ids, "base", steps, user)


def test_the_same_has_the_same_names_and_each_step_its_own():
    assert names() == names()
    assert len(set(names())) == 3
    assert all(name.startswith("moat-image:") and len(name) == len("moat-image:") + 32 for name in names())


def test_a_title_is_for_people():
    renamed = tuple(msgspec.structs.replace(step, title="x") for step in STEPS)
    assert names(steps=renamed) == names()


@pytest.mark.parametrize(
    ("changed", "first"),
    [
        ({"ids": IDS | {"base": "sha256:c"}}, 0),
        ({"ids": IDS | {"node:20-slim": "sha256:m"}}, 0),
        ({"home": "i"}, 0),
        ({"steps": (STEPS[0], msgspec.structs.replace(STEPS[1], script="apt2"), STEPS[2])}, 1),
        ({"steps": (STEPS[0], msgspec.structs.replace(STEPS[1], as_agent=True), STEPS[2])}, 1),
        ({"user": "1001:1001"}, 2),
        ({"steps": (*STEPS[:2], msgspec.structs.replace(STEPS[2], script="echo 2"))}, 2),
    ],
)
def test_what_is_below_a_change_keeps_its_name_and_all_above_get_others(changed, first):
    before, after = names(), names(**changed)
    assert before[:first] == after[:first]
    assert not set(before[first:]) & set(after[first:])
