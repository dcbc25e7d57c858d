"""What the start form is told about a workspace."""

from __future__ import annotations

import pytest

from engine.home import Home
from engine.run.workspace.describe import WorkspaceInfo, describe_workspace


@pytest.fixture
def home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("beside") / "home")  # a workspace may not hold it


def test_all_that_it_says_and_no_value_of_env(home, tmp_path):
    (tmp_path / "agent.yaml").write_text(
        "name: shop\ncommand: [npm, test]\ngrants: [github]\nsandbox: none\nenv: {KEY: hunter2}\n"
        "network: {policy: strict, allow: [example.com]}\ncontainer: {memory: 512, cpus: 1.5}\n"
    )
    info = describe_workspace(home, str(tmp_path))
    assert info == WorkspaceInfo(
        str(tmp_path),
        file="agent.yaml",
        name="shop",
        command=("npm", "test"),
        grants=("github",),
        policy="strict",
        allow=("example.com",),
        sandbox=False,
        env=("KEY",),
        memory_mb=512,
        cpus=1.5,
    )
    assert "hunter2" not in repr(info)


def test_no_file_says_nothing(home, tmp_path):
    assert describe_workspace(home, str(tmp_path)) == WorkspaceInfo(str(tmp_path))
    assert not home.root.exists()


@pytest.mark.parametrize("text", ["grants: 7\n", "a: [\n", "nmae: x\n"])
def test_a_broken_file_is_a_problem_with_its_line(home, tmp_path, text):
    (tmp_path / "agent.yaml").write_text(text)
    info = describe_workspace(home, str(tmp_path))
    assert "agent.yaml:" in info.problem[0]
    assert info.file == ""


@pytest.mark.parametrize("path", ["/no/such/place", "/etc/passwd", "a\0b", "/proc"])
def test_a_place_that_cannot_be_is_a_problem(home, path):
    assert describe_workspace(home, path).problem
