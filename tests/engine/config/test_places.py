"""Mounts and workspaces: what a container may see of this machine."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from engine.config import Mount, check_workspace, parse_mount
from engine.errors import UsageError


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    path = tmp_path / "work"
    (path / "data").mkdir(parents=True)
    (path / "file").write_text("x")
    return path


def test_forms(workspace: Path) -> None:
    data = workspace / "data"
    assert parse_mount("data:/data", workspace) == Mount(data, "/data", read_only=False)
    assert parse_mount("./data:/data:ro", workspace) == Mount(data, "/data", read_only=True)
    assert parse_mount(f"{data}:/data:rw", workspace) == Mount(data, "/data", read_only=False)
    assert parse_mount("file:/etc/thing", workspace).source == workspace / "file"
    assert parse_mount("data/../data:/a//b/../c/", workspace).target == "/a/c"
    assert parse_mount("data://x", workspace).target == "/x"
    assert parse_mount("data:/workspace/data", workspace).target == "/workspace/data"
    (workspace / "a:b").mkdir()
    assert parse_mount("a:b:/x", workspace) == Mount(workspace / "a:b", "/x")


def test_home_is_expanded(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(workspace))
    assert parse_mount("~/data:/data", workspace).source == workspace / "data"


def test_the_source_is_where_a_link_leads_now(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (workspace / "link").symlink_to(tmp_path / "elsewhere")
    assert parse_mount("link:/data", workspace).source == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data", "expected SRC:DST"),
        ("", "expected SRC:DST"),
        (":/data", "empty"),
        ("data:", "absolute path"),
        ("data:rel", "absolute path"),
        ("data:/d:rx", "mode ro or rw"),
        ("data:/d:ro:rw", "absolute path"),
        ("nope:/d", "no such file"),
        ("file/x:/d", "cannot be reached"),
        ("da\0ta:/d", "control character"),
        ("data:/d\n", "control character"),
        ("~nobody-here/x:/d", "cannot be reached|no such file"),
        ("data:/", "is taken"),
        ("data:/..", "is taken"),
        ("data:/workspace", "is taken"),
        ("data:/workspace/../workspace/", "is taken"),
        ("data:/moat", "is taken"),
        ("data:/moat/ca", "is taken"),
        ("data:/x/../moat/ca", "is taken"),
        ("data:/run/moat/ssh", "is taken"),
        ("data:/run", "is taken"),
        ("data:/proc/self", "is taken"),
        ("data:/sys", "is taken"),
        ("data:/dev/shm", "is taken"),
        ("/:/host", "whole file system"),
        ("/proc:/p", "the host's proc"),
        ("/sys/kernel:/p", "the host's sys"),
        ("/dev:/p", "the host's dev"),
    ],
)
def test_wrong_mounts_say_why(workspace: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_mount(text, workspace)


def test_neighbours_of_taken_targets_are_free(workspace: Path) -> None:
    for target in ("/moats", "/workspace2", "/devices", "/run/other"):
        assert parse_mount(f"data:{target}", workspace).target == target


def test_sockets_and_pipes_are_refused(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("d.sock")
        with pytest.raises(UsageError, match="found a socket"):
            parse_mount("d.sock:/x", workspace)
        assert parse_mount(".:/x", workspace).source == workspace
        monkeypatch.setenv("DOCKER_HOST", f"unix://{workspace}/d.sock")
        with pytest.raises(UsageError, match=r"d\.sock, which would give the agent this machine"):
            parse_mount(".:/x", workspace)
    os.mkfifo("pipe")
    with pytest.raises(UsageError, match="found a socket, pipe"):
        parse_mount("pipe:/x", workspace)


def test_moats_home_is_refused_through_links_above_and_below(workspace: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "credentials").mkdir(parents=True)
    (workspace / "sneaky").symlink_to(home)
    for source in (str(home), str(home / "credentials"), str(tmp_path), "sneaky", "..", "sneaky/credentials"):
        with pytest.raises(UsageError, match="Moat's credentials"):
            parse_mount(f"{source}:/x", workspace)
    assert parse_mount(f"{home}:/x", workspace, (tmp_path / "other",)).source == home


def test_a_workspace_is_a_directory(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_workspace(workspace) == workspace
    monkeypatch.chdir(workspace)
    assert check_workspace(Path("data")) == workspace / "data"
    (workspace / "link").symlink_to("data")
    assert check_workspace(workspace / "link") == workspace / "data"
    for path, words in (
        (workspace / "nope", "no such file"),
        (workspace / "file", "expected a directory, found a file"),
        (Path("/"), "whole file system"),
        (Path("/proc"), "the host's proc"),
    ):
        with pytest.raises(UsageError, match=words):
            check_workspace(path)


def test_a_workspace_is_not_moats_home(workspace: Path, tmp_path: Path) -> None:
    inside = tmp_path / "home" / "x"
    inside.mkdir(parents=True)
    for path in (tmp_path, tmp_path / "home", inside):
        with pytest.raises(UsageError, match="Moat's credentials"):
            check_workspace(path)
        with pytest.raises(UsageError, match="Moat's credentials"):
            check_workspace(path, tmp_path / "home")
    with pytest.raises(UsageError, match="Moat's credentials"):
        check_workspace(workspace, workspace / "home-to-be")


def test_the_usual_home_is_refused_while_another_one_is_in_use(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MOAT_HOME moves what Moat uses; the credentials in ~/.moat stay credentials."""
    person = tmp_path / "person"
    (person / ".moat" / "credentials").mkdir(parents=True)
    (person / "project").mkdir()
    monkeypatch.setenv("HOME", str(person))
    for path in (person, person / ".moat", person / ".moat" / "credentials"):
        with pytest.raises(UsageError, match="Moat's credentials"):
            check_workspace(path, tmp_path / "home")
        with pytest.raises(UsageError, match="Moat's credentials"):
            parse_mount(f"{path}:/x", workspace, (tmp_path / "home",))
    assert check_workspace(person / "project", tmp_path / "home") == person / "project"


def test_moats_home_is_known_by_what_it_is_and_not_by_its_name(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bind mount, or a file system that ignores case, gives one directory two paths; only root can make
    such a mount, so the second path is made up here."""
    home, alias = tmp_path / "home", tmp_path / "HOME"
    for place in (home, alias):
        (place / "credentials").mkdir(parents=True)
    real_stat = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        return real_stat(home if path == alias else path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    for source in (alias, alias / "credentials"):
        with pytest.raises(UsageError, match="Moat's credentials"):
            parse_mount(f"{source}:/x", workspace)


@pytest.mark.parametrize("name", ["bus", "keyring/control", "systemd/private", "agent"])
def test_the_sessions_sockets_are_refused(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whoever speaks to the session's bus can ask for the keychain's key, and start programs."""
    session = tmp_path / "s"
    (session / name).parent.mkdir(parents=True)
    monkeypatch.chdir((session / name).parent)  # a socket's path is short
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(session / "agent"))
    assert parse_mount(f"{session}:/x", workspace).source == session
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(Path(name).name)
        with pytest.raises(UsageError, match="which would give the agent this machine"):
            parse_mount(f"{session}:/x", workspace)
