"""What the start form says about a workspace, without a form."""

from __future__ import annotations

import pytest

from engine import WorkspaceInfo
from moat_tui.screen.models.workspace_form import complete_directory, said_by


def test_all_that_agent_yaml_says_is_in_one_line():
    info = WorkspaceInfo(
        "/w",
        "agent.yaml",
        command=("npm", "run a"),
        grants=("github",),
        policy="strict",
        image="node:22",
        sandbox=False,
        mounts=("/a:/b:ro",),
        volumes=("cache:/cache:rw",),
        ports=("web:3000", "api:8080"),
        env=("A", "B"),
        services=("postgres@17", "redis@7"),
        tools=("node@20", "jq"),
        hooks=("pre_run",),
    )
    text, bad = said_by(info)
    assert not bad
    for part in (
        "npm 'run a'", "grants github", "strict", "node:22", "no gVisor", "1 mount", "2 variables",
        "with postgres@17, redis@7",
    ):  # fmt: skip
        assert part in text
    for part in ("1 volume", "ports web:3000, api:8080", "tools node@20, jq", "hooks pre_run"):
        assert part in text


def test_a_wish_for_docker_comes_first():
    text, bad = said_by(WorkspaceInfo("/w", file="agent.yaml", docker="host", command=("x",)))
    assert (text, bad) == ("agent.yaml: ! docker:host  ·  x", False)


def test_a_problem_and_an_absent_file():
    assert said_by(WorkspaceInfo("/w", problem=("agent.yaml:2: no\x1b[2J", "Mend it."))) == (
        "✗ agent.yaml:2: no␛[2J Mend it.",
        True,
    )
    assert said_by(WorkspaceInfo("/w")) == ("no agent.yaml in it", False)


@pytest.fixture
def folders(tmp_path):
    for name in ("shop", "site", ".git", "sh\x1bell"):
        (tmp_path / name).mkdir()
    (tmp_path / "shoes.txt").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "goes_on"),
    [("/s", "/shop"), ("/si", "/site"), ("/", "/shop"), ("/.", "/.git"), ("/shop", None), ("/x", None)],
)
def test_directories_on_disk(folders, typed, goes_on):
    assert complete_directory(f"{folders}{typed}") == (f"{folders}{goes_on}" if goes_on else None)


def test_workspaces_used_before_come_first(folders, monkeypatch):
    monkeypatch.setenv("HOME", str(folders))
    assert complete_directory(f"{folders}/s", [f"{folders}/site"]) == f"{folders}/site"
    assert complete_directory("~/si") == "~/site"
    assert complete_directory("") is None
    assert complete_directory("/no/such/place/") is None
    assert complete_directory("a\0b/") is None
