"""The small graphs: what is counted, when it leaves, and that they do not grow."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.screen_home import NOW, ago

from moat_tui.screen.models.activity import BUCKET, BUCKETS, Activities, Activity, bars


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([], ""),
        ([0, 0], "··"),
        ([1], "█"),
        ([1, 8], "▁█"),
        ([0, 1, 10**9], "·▁█"),
        ([4, 8], "▄█"),
        (list(range(9)), "·▁▂▃▄▅▆▇█"),
    ],
)
def test_bars(values, shown):
    assert bars(values) == shown


def test_growth_is_counted_where_it_happens_and_leaves_after_the_window():
    activity = Activity()
    activity.seen(100, NOW)  # was there before: not now's doing
    activity.seen(103, NOW)
    later = NOW + timedelta(seconds=BUCKET)
    activity.seen(104, later)
    assert activity.values(later)[-2:] == [3, 1]
    assert len(activity.values(later)) == BUCKETS
    assert activity.values(NOW + timedelta(days=9)) == [0] * BUCKETS
    activity.seen(5, NOW + timedelta(days=9))  # another file under the same name
    assert not any(activity.values(NOW + timedelta(days=9)))


def test_a_clock_that_goes_back_breaks_nothing():
    activity = Activity()
    activity.seen(0, NOW)
    activity.seen(2, NOW - timedelta(hours=1))
    assert sum(activity.values(NOW)) == 2


def test_what_was_there_before_the_watching_is_in_the_graph():
    graphs = Activities()
    graphs.seed("a", [ago(seconds=1), ago(seconds=40), ago(hours=3), "nonsense"], NOW)
    graphs.seen([("a", 4)], NOW)
    assert graphs.graph("a", NOW).count("█") == 2
    assert graphs.graph("b", NOW) == ""
    graphs.seen([], NOW)
    assert graphs.graph("a", NOW) == ""
