"""Narrowing a grant in a form's fields, and what a run has left of it."""

from __future__ import annotations

import msgspec
import pytest
from support.screen_home import NOW, ago

from engine import GrantUse, RunInfo, RunState, parse_grant
from moat_tui.screen.models.form_error import FormError
from moat_tui.screen.models.limits_left import left_line, left_of
from moat_tui.screen.models.narrowing import (
    by_provider,
    in_short,
    in_words,
    narrow_fields,
    narrowed,
    why_whole,
)

FULL = "github:ro;methods=GET|HEAD;paths=/repos/me/**|/user;max_requests=100;expires_in=1h"
RUN = RunInfo(
    "run_1",
    "a",
    ago(minutes=50),
    RunState.RUNNING,
    started_at=ago(minutes=48),
    grants=("github:ro;max_requests=100;expires_in=1h", "openai", "ssh:h.test"),
)


def text(pieces) -> str:
    return "".join(part for part, _ in pieces)


def test_what_is_typed_is_the_grant_s_text_and_back():
    fields = narrow_fields(FULL)
    assert narrowed("github", fields["scope"], fields) == FULL == str(parse_grant(FULL))
    assert narrowed("github", "", {"methods": " GET | HEAD  POST ", "paths": ""}) == (
        "github;methods=GET|HEAD|POST"
    )
    assert narrowed("github", "", {}) == "github"
    assert in_words(FULL) == "GET|HEAD, /repos/me/**|/user, 100 requests, for 1h"
    assert in_words("github:ro") == in_words("ssh:h.test") == ""
    assert in_short((FULL, "openai")) == "github:ro;…, openai"


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("methods", "get"),
        ("paths", "repos"),
        ("paths", "/a;b"),
        ("max_requests", "0"),
        ("max_requests", "many"),
        ("expires_in", "1w"),
    ],
)
def test_a_mistake_names_its_field(field, typed):
    with pytest.raises(FormError) as caught:
        narrowed("github", "ro", {"methods": "GET", field: typed})
    assert caught.value.field == field.replace("_", "-")


def test_what_can_only_be_given_whole_says_why():
    assert "session policy" in why_whole("aws")
    assert "at one host only" in why_whole("ssh:h.test")
    assert why_whole("github:ro;max_requests=1") == ""


def test_grants_of_one_provider_stand_together():
    assert by_provider(["github", "openai", "github:ro", "openai", "github;max_requests=1"]) == [
        "github",
        "github:ro",
        "github;max_requests=1",
        "openai",
    ]


def test_what_is_left_of_a_live_run_s_limits():
    assert text(left_line(RUN, {"github": GrantUse(ago(), 43)}, NOW)) == (
        "github:ro 43 of 100 requests, expires in 12m"
    )
    assert text(left_line(msgspec.structs.replace(RUN, grants=("openai", "aws")), {}, NOW)) == ""
    over = msgspec.structs.replace(RUN, started_at=ago(minutes=61))
    found = left_of(over, {"github": GrantUse(ago(), 100)}, NOW)
    assert [text(pieces) for pieces in found.values()] == [
        "github:ro ✗ 100 of 100 requests: used up, ✗ expired"
    ]
    ended = msgspec.structs.replace(over, state=RunState.EXITED)
    assert text(left_line(ended, {}, NOW)) == "github:ro 0 of 100 requests, for 1h"


def test_a_refused_grant_is_named_first():
    uses = {"openai": GrantUse(ago(), 2, refused_at=ago())}
    assert text(left_line(RUN, uses, NOW)).startswith("openai ✗ refused by the service  ·  github:ro 0 of")


def test_limits_of_another_version_are_shown_as_they_are():
    run = msgspec.structs.replace(RUN, grants=("github;colour=red",))
    assert text(left_line(run, {}, NOW)) == "github colour=red"
    assert in_words("github;colour=red") == "colour=red"
