"""The lines of several files as one list."""

from __future__ import annotations

import random

import pytest

from moat_tui.screen.models.timeline import Span, Stretch, Timeline


def test_every_line_is_found_again_whatever_was_added_where():
    chance = random.Random(7)
    timeline = Timeline()
    expected: dict[int, tuple[int, int]] = {}
    bounds = [[0, 0] for _ in range(3)]  # of each file: its first line known, and the one after the last
    for _ in range(500):
        source, lines = chance.randrange(3), chance.choice((1, 1, 1, 2, 40))
        if chance.random() < 0.5:
            first = bounds[source][1]
            bounds[source][1] += lines
            number = timeline.after
            timeline.add_newer(Span(source, first, lines))
        else:
            first = bounds[source][0] = bounds[source][0] - lines
            timeline.add_older(Span(source, first, lines))
            number = timeline.first
        expected |= {number + line: (source, first + line) for line in range(lines)}
    assert range(timeline.first, timeline.after) == range(min(expected), max(expected) + 1)
    assert {number: timeline.line(number) for number in expected} == expected
    for number in chance.sample(sorted(expected), 50):
        start, span = timeline.up_to(number)
        assert [expected[start + line] for line in range(span.lines)] == [
            (span.source, span.first + line) for line in range(span.lines)
        ]
        assert start + span.lines == number + 1
        start, span = timeline.starting(number)
        assert start == number
        assert expected[number + span.lines - 1] == (span.source, span.first + span.lines - 1)


def test_one_file_is_one_stretch_however_often_it_is_added_to():
    timeline = Timeline()
    for block in range(100):
        timeline.add_newer(Span(0, block * 5, 5))
        timeline.add_older(Span(0, -5 * (block + 1), 5))
    assert timeline.starting(-500) == Stretch(-500, Span(0, -500, 500))
    assert timeline.up_to(499) == Stretch(0, Span(0, 0, 500))


def test_what_is_not_there_is_an_error():
    with pytest.raises(IndexError):
        Timeline().line(0)
