"""Diffs: a reader of the format gets the new text from the old one, and hostile texts cost no time."""

from __future__ import annotations

import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.workspace.differ import unified

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "", "\r", "\x0c", "é\u2028"]), max_size=25).map("\n".join)


def applied(old, diff):
    """The new text, as patch(1) makes it."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", old)
    made, at = [], 0
    for hunk in re.split(r"(?m)^(?=@@ )", diff)[1:]:
        head, *body = re.findall(r"[^\n]*\n", hunk)
        begin, count = re.match(r"@@ -(\d+)(?:,(\d+))?", head).groups(default="1")
        begin = int(begin) - (int(count) > 0)
        made += lines[at:begin]
        at = begin
        for place, line in enumerate(body):
            ended = not body[place + 1 : place + 2] or not body[place + 1].startswith("\\")
            text = line[1:] if ended else line[1:-1]
            if line[0] in " -":
                assert lines[at] == text
                at += 1
            if line[0] in " +":
                made.append(text)
    return "".join(made + lines[at:])


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS)
def test_a_diff_leads_from_the_old_text_to_the_new_one(old, new):
    diff = unified(old, new)

    assert applied(old, diff) == new
    assert (diff == "") == (old == new)


def test_a_hunk_by_hand():
    old = "".join(f"{n}\n" for n in range(1, 10))

    assert (
        unified(old, old.replace("5\n", "five\n")) == "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
    )
    assert unified("", "new") == "@@ -0,0 +1 @@\n+new\n\\ No newline at end of file\n"
    assert unified("old\n", "") == "@@ -1 +0,0 @@\n-old\n"


def test_what_only_looks_like_a_line_end_is_none():
    assert unified("a\n", "a\x0b\x0c\x1c\x85\u2028b\n").count("\n+") == 1


def test_texts_that_share_every_line_and_no_order_cost_no_time():
    began = time.process_time()
    unified("".join(f"{n}\n" for n in range(40_000)), "".join(f"{n}\n" for n in range(40_000, 0, -1)))
    unified("a\nb\n" * 40_000, "b\nb\na\n" * 30_000)

    assert time.process_time() - began < 5
