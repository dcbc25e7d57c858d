from __future__ import annotations

import pytest

from moat_tui.screen.models.following import Following
from moat_tui.screen.models.store import BoundedStore


def test_it_keeps_the_newest_and_counts_the_rest():
    store: BoundedStore[int] = BoundedStore(3)
    assert store.extend(range(2)) == 0
    assert store.extend(range(2, 6)) == 3
    assert (list(store), store.dropped, len(store), store[0]) == ([3, 4, 5], 3, 3, 3)


def test_positions_outside_are_errors():
    store: BoundedStore[int] = BoundedStore(3)
    store.extend([1])
    for position in (-1, 1):
        with pytest.raises(IndexError):
            store[position]


def test_weight_bounds_too_but_the_last_item_stays():
    store: BoundedStore[str] = BoundedStore(100, weight_limit=10, weigh=len)
    store.extend(["aaaa", "bbbb", "cccc"])
    assert list(store) == ["bbbb", "cccc"]
    store.extend(["d" * 50])
    assert list(store) == ["d" * 50]


def test_numbers_hold_over_many_drops():
    store: BoundedStore[int] = BoundedStore(1_000)
    for start in range(0, 50_000, 700):
        store.extend(range(start, start + 700))
        assert store[0] == store.dropped
        assert len(store._items) < 5_000  # memory is given back
    assert len(store) == 1_000


def test_clear_numbers_from_the_start():
    store: BoundedStore[int] = BoundedStore(2)
    store.extend(range(9))
    store.clear()
    assert (len(store), store.dropped) == (0, 0)


def test_following_counts_only_what_was_missed():
    follow = Following()
    follow.arrived(5)
    assert (follow.pill, follow.word) == ("", "following")
    follow.release()
    assert follow.pill == ""
    follow.arrived(1_200)
    assert "1,200 new" in follow.pill
    follow.resume()
    assert (follow.on, follow.unseen, follow.pill) == (True, 0, "")
