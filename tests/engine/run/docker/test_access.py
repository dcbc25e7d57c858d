"""Who is given Docker, where it is refused, and how it is said."""

from __future__ import annotations

import pytest

from engine.config import AgentConfig
from engine.config.dependencies import parse_dependency
from engine.errors import UsageError
from engine.home import Home
from engine.run.docker.access import no_socket, settle_access, warning
from engine.run.request import RunRequest
from engine.run.spec import settle


def asking(*words: str) -> AgentConfig:
    return AgentConfig(dependencies=tuple(map(parse_dependency, words)))


@pytest.mark.parametrize(
    ("said", "config", "access"),
    [
        ("", asking(), ""),
        ("", asking("docker:dind"), "dind"),
        ("", asking("docker:host"), "host"),
        ("dind", asking("docker:host"), "dind"),
        ("host", asking(), "host"),
        ("none", asking("docker:host"), ""),
    ],
)
def test_a_persons_word_wins_over_the_files(said, config, access):
    assert settle_access(said, config, "docker", "permissive") == access


@pytest.mark.parametrize("runtime", ["bubblewrap", "apple"])
@pytest.mark.parametrize("access", ["host", "dind"])
def test_there_must_be_a_docker_engine(runtime, access):
    with pytest.raises(UsageError, match=f"docker:{access} cannot be had with the runtime '{runtime}'"):
        settle_access(access, asking(), runtime, "permissive")


@pytest.mark.parametrize("policy", ["strict", "ask"])
def test_a_policy_that_the_machines_engine_would_undo_is_not_kept_in_name(policy):
    with pytest.raises(UsageError, match="exclude each other"):
        settle_access("host", asking(), "docker", policy)
    with pytest.raises(UsageError, match="exclude each other"):
        settle_access("", asking("docker:host"), "docker", policy)
    assert settle_access("dind", asking(), "docker", policy) == "dind"


def test_an_unknown_word_is_refused():
    with pytest.raises(UsageError, match="unknown --docker"):
        settle_access("all", asking(), "docker", "permissive")


@pytest.mark.parametrize(
    ("access", "sandbox", "loud"),
    [("host", "standard", True), ("dind", "standard", True), ("dind", "gvisor", False)],
)
def test_every_start_is_loud_where_nothing_holds_the_agent(access, sandbox, loud):
    said = warning(access, sandbox)
    assert said.startswith("WARNING: ") == loud
    assert f"docker:{access}" in said


def test_why_there_is_no_socket_names_the_way_out():
    assert "unix socket" in no_socket().what
    assert "docker:dind" in no_socket().remedy


def test_a_run_is_settled_with_it_and_what_a_person_says_is_asked_of_nobody(tmp_path):
    workspace = tmp_path / "ws"
    workspace.mkdir()
    (workspace / "agent.yaml").write_text("dependencies: [docker:host]\n")
    home = Home(tmp_path / "home")
    home.ensure_dir(home.root)

    def settled(**wishes: str):
        return settle(home, RunRequest(workspace=str(workspace), command=("true",), **wishes))

    assert settled().docker == "host"
    assert [str(each) for each in settled().config.dependencies] == ["docker:host"]
    assert settled(docker="dind").docker == "dind"
    assert settled(docker="none").docker == ""
    assert settled(docker="dind").config.dependencies == ()
    with pytest.raises(UsageError, match="exclude each other"):
        settled(policy="strict")
