from __future__ import annotations

import pytest

from engine.runtimes.docker.broadcast import REMARK, deafen


@pytest.fixture
def settings(tmp_path):
    def make(**values: str):
        for name, value in values.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "rp_filter").write_text(f"{value}\n")
        return tmp_path

    return make


@pytest.mark.parametrize(("every", "own"), [("0", "1"), ("0", "2"), ("2", "0"), ("1", "1")])
def test_where_broadcasts_are_dropped_nothing_is_changed(settings, every, own):
    place = settings(all=every, moat1=own, default="0")
    assert deafen("moat1", place) == ""
    assert (place / "moat1" / "rp_filter").read_text() == f"{own}\n"


def test_where_they_are_not_the_bridge_alone_is_changed(settings):
    place = settings(all="0", moat1="0", default="0", eth0="0")
    assert deafen("moat1", place) == ""
    changed = [each.name for each in sorted(place.iterdir()) if (each / "rp_filter").read_text() != "0\n"]
    assert changed == ["moat1"]


def test_what_may_not_be_changed_is_said(settings):
    place = settings(all="0", moat1="0", default="0")
    (place / "moat1" / "rp_filter").unlink()
    (place / "moat1" / "rp_filter").symlink_to("/proc/self/mem")  # which nobody can read as a number
    assert deafen("moat1", place) == REMARK
    assert "sysctl" in REMARK


@pytest.mark.parametrize(("default", "said"), [("0", REMARK), ("2", "")])
def test_a_bridge_that_is_made_later_gets_the_default(settings, default, said):
    assert deafen("moat1", settings(all="0", default=default)) == said
