"""Volumes: whose they are, what a run gets of them, and how they go."""

from __future__ import annotations

import os
import stat

import pytest

from engine.config import parse_volume
from engine.errors import HomeError, RunStateError, UsageError
from engine.events import RunInfo, RunState
from engine.home import Home
from engine.run.metadata import write_metadata
from engine.run.workspace.volumes import list_volumes, remove_volume, volume_binds
from engine.runtimes import Bind

CACHE = (parse_volume("cache:/cache"),)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def workspace(tmp_path):
    path = tmp_path / "ws"
    path.mkdir()
    return path


def source(home, workspace, *texts):
    return [
        bind.source for bind in volume_binds(home, workspace, map(parse_volume, texts or ["cache:/cache"]))
    ]


def live_run(home, workspace, state=RunState.RUNNING):
    write_metadata(
        home, RunInfo("run_1", "busy", "t", state=state, workspace=str(workspace), volume_names=("cache",))
    )


def test_the_same_name_is_the_same_place_for_one_workspace_and_another_for_others(home, workspace, tmp_path):
    (bind,) = volume_binds(home, workspace, CACHE)
    assert bind == Bind(bind.source, "/cache", read_only=False)
    assert stat.S_IMODE(os.stat(bind.source).st_mode) == 0o700
    assert os.listdir(bind.source) == []
    assert source(home, workspace) == [bind.source]
    assert source(home, workspace, "cache:/elsewhere:ro", "other:/o") == [
        bind.source,
        bind.source.replace("cache", "other"),
    ]
    assert source(home, tmp_path / "ws2") != [bind.source]
    assert source(home, workspace.parent) != [bind.source]
    assert volume_binds(home, workspace, [parse_volume("cache:/c:ro")])[0].read_only


def test_all_are_listed_with_size_workspace_and_users(home, workspace, tmp_path):
    assert list_volumes(home) == []
    (place,) = source(home, workspace)
    source(home, tmp_path / "other", "cache:/c", "b:/b")
    with open(f"{place}/file", "wb") as file:
        file.write(b"x" * 50_000)
    os.symlink("/usr", f"{place}/link")
    live_run(home, workspace)
    (other_b, other_cache, cache) = list_volumes(home)
    assert (other_b.name, other_cache.name, cache.name) == ("b", "cache", "cache")
    assert other_cache.workspace == str(tmp_path / "other")
    assert (cache.workspace, cache.path) == (str(workspace), place)
    assert 50_000 <= cache.size < 100_000
    assert cache.whole
    assert cache.used_by == ("busy",)
    assert other_cache.used_by == ()


def test_a_volume_goes_only_when_no_run_has_it_and_with_all_that_is_in_it(home, workspace, tmp_path):
    (place,) = source(home, workspace)
    precious = tmp_path / "precious"
    precious.mkdir()
    os.symlink(precious, f"{place}/link")
    os.makedirs(f"{place}/closed/inner")
    os.chmod(f"{place}/closed", 0)
    os.chmod(place, 0)
    live_run(home, workspace)
    with pytest.raises(RunStateError, match="in use by run busy"):
        remove_volume(home, str(workspace), "cache")
    live_run(home, workspace, RunState.EXITED)
    remove_volume(home, str(workspace), "cache")
    assert list_volumes(home) == []
    assert os.listdir(home.volumes) == ["removed"]
    assert os.listdir(home.volumes / "removed") == []
    assert precious.is_dir()
    assert source(home, workspace) == [place]  # a new one, empty
    assert os.listdir(place) == []


def test_one_goes_and_the_others_of_the_workspace_stay(home, workspace):
    source(home, workspace, "a:/a", "b:/b")
    workspace.rmdir()  # it may be gone
    remove_volume(home, str(workspace), "a")
    assert [volume.name for volume in list_volumes(home)] == ["b"]


@pytest.mark.parametrize("name", ["nothing", "../data", "../../x", ".", ""])
def test_what_is_no_volume_is_refused(home, workspace, name):
    source(home, workspace)
    with pytest.raises(UsageError):
        remove_volume(home, str(workspace), name)
    assert list_volumes(home)


def test_a_link_in_the_home_is_not_followed(home, workspace, tmp_path):
    (place,) = source(home, workspace)
    os.rmdir(place)
    os.symlink(tmp_path, place)
    with pytest.raises(HomeError, match="symbolic link"):
        volume_binds(home, workspace, CACHE)
    with pytest.raises(HomeError, match="symbolic link"):
        remove_volume(home, str(workspace), "cache")
    assert list_volumes(home) == []
    assert workspace.is_dir()


async def test_a_run_has_them_where_they_were_asked_for(one_run):
    run = one_run(volumes=("cache:/cache:ro", "models:/models"))
    run.begin()
    await run.at("wait")
    binds = [bind for bind in run.engine.spec.binds if bind.target != "/workspace"]
    assert [(bind.target, bind.read_only) for bind in binds] == [("/cache", True), ("/models", False)]
    assert run.metadata.volume_names == ("cache", "models")
    assert [volume.used_by for volume in list_volumes(run.home)] == [(run.metadata.name,)] * 2
    run.engine.end()
    await run.result()
    run.over(RunState.EXITED)
    assert "volumes cache:/cache:ro, models:/models:rw" in run.entries()[0].data["message"]
    assert len(list_volumes(run.home)) == 2  # they stay
