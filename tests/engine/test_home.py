"""Where files are made: private from birth, never through a link, whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import HomeError
from engine.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture(params=[0, 0o777, 0o022], ids=["umask 000", "umask 777", "umask 022"])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.usefixtures("_umask")
def test_modes_hold_whatever_the_umask(tmp_path: Path) -> None:
    home = Home(tmp_path / "new" / "deep" / "home")
    home.write(home.root / "a" / "b" / "file", b"x")
    os.close(home.open_private(home.root / "c" / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    home.ensure_dir(home.runs)
    found = {path.relative_to(tmp_path).as_posix(): mode(path) for path in (tmp_path / "new").rglob("*")}
    files = {"new/deep/home/a/b/file", "new/deep/home/c/log"}
    assert {name for name, bits in found.items() if bits == 0o600} == files
    assert {name for name, bits in found.items() if bits == 0o700} == found.keys() - files
    assert mode(tmp_path / "new") == 0o700, "a missing ancestor that others could write would be no shelter"


def test_what_is_too_open_is_narrowed(home: Home) -> None:
    home.write(home.runs / "f", b"x")
    for path in (home.root, home.runs):
        path.chmod(0o777)
    (home.runs / "f").chmod(0o666)
    os.close(home.open_private(home.runs / "f", os.O_RDWR | os.O_CREAT))
    assert (mode(home.root), mode(home.runs), mode(home.runs / "f")) == (0o700, 0o700, 0o600)


def test_existing_ancestors_are_left_alone(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir(mode=0o755)
    Home(above / "home").ensure_dir(above / "home" / "runs")
    assert mode(above) == 0o755


@pytest.mark.parametrize("linked", ["home", "home/runs", "home/runs/run_1", "home/runs/run_1/file"])
def test_links_are_refused_everywhere(tmp_path: Path, linked: str) -> None:
    home = Home(tmp_path / "home")
    target = tmp_path / "elsewhere"
    (target / "runs" / "run_1").mkdir(parents=True)
    (target / "file").write_bytes(b"theirs")
    link = tmp_path / linked
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target / "file" if linked.endswith("file") else target)
    path = home.run("run_1") / "file"
    calls = (
        lambda: home.check(path),
        lambda: home.read(path),
        lambda: home.write(path, b"ours"),
        lambda: home.remove(path),
        lambda: home.open_private(path, os.O_WRONLY | os.O_CREAT),
        lambda: home.ensure_dir(path),
    )
    for call in calls:
        with pytest.raises(HomeError, match="symbolic link"):
            call()
    assert (target / "file").read_bytes() == b"theirs"
    assert sorted(p.name for p in target.rglob("*")) == ["file", "run_1", "runs"]


def test_a_link_above_the_home_is_the_users_own_business(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    home = Home(tmp_path / "link" / "home")
    home.write(home.config_file, b"x")
    assert (tmp_path / "real" / "home" / "config.yaml").read_bytes() == b"x"


@pytest.mark.parametrize("path", ["../x", "runs/../../x", "/etc/passwd", "../home2/x"])
def test_nothing_outside_is_touched(home: Home, path: str) -> None:
    for call in (home.check, home.read, home.ensure_dir, home.remove, lambda p: home.write(p, b"x")):
        with pytest.raises(HomeError, match="is outside"):
            call(home.root / path)


@pytest.mark.parametrize("run_id", ["", "..", "../x", "a/b", "run-1", "run_é", "a.b", "run_1\n", "_", "a\0"])
def test_run_ids_cannot_climb(home: Home, run_id: str) -> None:
    with pytest.raises(HomeError, match="not a run id"):
        home.run(run_id)


def test_run_ids(home: Home) -> None:
    assert home.run("run_0a1b2c") == home.runs / "run_0a1b2c"


@pytest.mark.parametrize("kind", ["file", "pipe", "link"])
def test_something_in_a_directorys_place_is_explained(home: Home, kind: str) -> None:
    home.ensure_dir(home.root)
    match kind:
        case "file":
            home.runs.write_bytes(b"")
        case "pipe":
            os.mkfifo(home.runs)
        case "link":
            home.runs.symlink_to("nowhere")
    path = home.runs / "run_1" / "file"
    calls = (home.check, home.read, home.remove, home.ensure_dir, lambda p: home.write(p, b"x"))
    for call in calls:
        with pytest.raises(HomeError):
            call(path)
    with pytest.raises(HomeError):
        home.ensure_dir(home.runs)


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_something_in_a_files_place_is_explained_and_not_waited_for(home: Home, kind: str) -> None:
    path = home.root / "thing"
    home.ensure_dir(home.root)
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(HomeError, match="is not a file"):
        home.read(path)
    with pytest.raises(HomeError):
        home.open_private(path, os.O_RDWR | os.O_CREAT)
    if kind == "directory":
        with pytest.raises(HomeError):
            home.write(path, b"x")
        with pytest.raises(HomeError):
            home.remove(path)
    assert len(os.listdir("/proc/self/fd")) == open_before
    assert [p.name for p in home.root.iterdir()] == ["thing"], "no temporary file stays behind"


def test_reading_what_is_not_there(home: Home) -> None:
    with pytest.raises(FileNotFoundError):
        home.read(home.config_file)
    with pytest.raises(FileNotFoundError):
        home.open_private(home.config_file, os.O_RDONLY)
    assert home.remove(home.config_file) is False
    assert not home.root.exists()


def test_removing(home: Home) -> None:
    home.write(home.config_file, b"x")
    assert home.remove(home.config_file) is True
    assert not home.config_file.exists()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    home: Home, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    home.write(home.config_file, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(HomeError, match=r"disk is full.*config\.yaml") as caught:
            home.write(home.config_file, b"new")
    assert caught.value.remedy
    assert home.read(home.config_file) == b"old"
    assert [p.name for p in home.root.iterdir()] == ["config.yaml"]


def test_a_place_where_nothing_can_be_made_is_explained() -> None:
    home = Home(Path("/proc/moat-test/home"))
    with pytest.raises(HomeError):
        home.write(home.config_file, b"x")
    with pytest.raises(HomeError):
        home.ensure_dir(home.root)


def test_another_users_directory_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.ensure_dir(home.runs)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(HomeError, match="belongs to another user"):
        home.ensure_dir(home.runs)


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "x"))
    assert Home.default().root == tmp_path / "x"
    monkeypatch.setenv("MOAT_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.default().root == tmp_path / ".moat"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOAT_HOME", "relative/../home")
    assert Home.default().root == tmp_path / "home"


def test_without_any_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MOAT_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(HomeError, match="Set MOAT_HOME"):
        Home.default()
