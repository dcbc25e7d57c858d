"""What agent.yaml asks for, as the image to begin with and the steps on it."""

from __future__ import annotations

import subprocess

import pytest

from engine.config import HooksConfig
from engine.config.dependencies import parse_dependency
from engine.errors import UsageError
from engine.images import Plan, hook_title, image_wishes, plan_image


def plan(*words: str, image: str = "", **hooks: str) -> Plan:
    return plan_image([parse_dependency(word) for word in words], HooksConfig(**hooks), image)


@pytest.mark.parametrize(
    ("words", "base"),
    [
        ((), "debian:bookworm-slim"),
        (("jq",), "debian:bookworm-slim"),
        (("postgres@17", "docker:dind"), "debian:bookworm-slim"),
        (("node@20",), "node:20-slim"),
        (("python@3.12",), "python:3.12-slim"),
        (("go@1.22",), "golang:1.22"),
        (("jq", "python@3.12.4", "node@20"), "python:3.12.4-slim"),
        (("go@1.22", "node@20"), "golang:1.22"),
        # Python's modules need the release that they were compiled on, which the plain names do not say.
        (("node@20", "python@3.12"), "node:20-bookworm-slim"),
        (("go@1.22", "python@3.12"), "golang:1.22-bookworm"),
    ],
)
def test_the_first_language_picks_the_base(words: tuple[str, ...], base: str) -> None:
    assert plan(*words).base == base


def test_an_image_that_is_named_is_the_base_and_gets_every_language() -> None:
    made = plan("node@20", "go@1.22", image="mine:1")
    assert (made.base, made.sources) == ("mine:1", ("node:20-slim", "golang:1.22"))
    assert [step.title for step in made.steps] == ["node@20 of node:20-slim", "go@1.22 of golang:1.22"]


def test_nothing_is_added_where_the_base_is_all() -> None:
    assert plan("python@3.12").steps == ()
    assert plan("redis@7", "docker:host", pre_run="true", image="mine").steps == ()


def test_the_order_of_steps_is_fixed_and_that_of_words_within_one_does_not_count() -> None:
    words = ("pip:ruff@0.6.1", "npm:b", "zsh", "python@3.12", "npm:@a/c@2", "node@20", "jq")
    made = plan(*words, post_build="echo agent\n", post_build_root="echo root\n", pre_run="true")
    assert [step.title for step in made.steps] == [
        "node@20 of node:20-slim",
        "packages jq, zsh",
        "npm @a/c@2, b",
        "pip ruff==0.6.1",
        hook_title("post_build_root", "echo root\n"),
        hook_title("post_build", "echo agent\n"),
    ]
    assert [step.as_agent for step in made.steps] == [False] * 5 + [True]
    assert "-- jq zsh\n" in made.steps[1].script
    assert "-- @a/c@2 b\n" in made.steps[2].script
    assert "pip install -- ruff==0.6.1\n" in made.steps[3].script
    assert made.steps[4].script == "echo root\n"
    moved = plan(*reversed(words[:3]), *words[3:], post_build="echo agent\n", post_build_root="echo root\n")
    assert moved == made


def test_python_is_copied_with_its_minor_versions_files_and_checked() -> None:
    (step,) = plan("node@20", "python@3.12.4").steps
    assert step.source == "python:3.12.4-slim-bookworm"
    assert "/usr/local/lib/libpython3.12.so.1.0" in step.paths
    assert "3.12.4 | 3.12.4.*)" in step.script


@pytest.mark.parametrize(
    ("words", "image", "says"),
    [
        (("npm:eslint",), "", "npm:eslint needs node"),
        (("pip:ruff", "node@20"), "", "pip:ruff needs python"),
        (("node@20", "python@3"), "", "no minor version"),
        (("python@3",), "mine", "no minor version"),
    ],
)
def test_what_cannot_be_put_together_is_refused_with_a_remedy(
    words: tuple[str, ...], image: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        plan(*words, image=image)
    assert caught.value.remedy


def test_an_image_of_ones_own_may_have_npm_and_pip() -> None:
    assert len(plan("npm:eslint", "pip:ruff", image="mine").steps) == 2


def test_wishes_are_what_goes_into_an_image_and_a_hook_is_named_by_its_text() -> None:
    words = [parse_dependency(word) for word in ("node@20", "redis@7", "docker:dind", "npm:a", "jq")]
    one = image_wishes(words, HooksConfig(post_build="a", pre_run="x"))
    other = image_wishes(words, HooksConfig(post_build="b", pre_run="x"))
    assert one[:3] == other[:3] == ("node@20", "npm:a", "jq")
    assert one[3].startswith("hook post_build (sha256 ")
    assert one[3:] != other[3:]


def test_every_step_is_a_script_that_a_plain_shell_can_read() -> None:
    made = plan("node@20", "python@3.12", "go@1.22", "g++", "npm:@a/b", "pip:ruff", image="mine")
    for step in made.steps:
        checked = subprocess.run(
            ["/bin/sh", "-n"], input=step.script.encode(), capture_output=True, check=False
        )
        assert checked.stderr == b""


@pytest.mark.parametrize(
    ("script", "said", "fits"),
    [
        ("node", "v20.1.2", True),
        ("node", "v2.1.0", False),
        ("node", "v201.0.0", False),
        ("go", "go version go1.22.3 linux/amd64", True),
        ("go", "go version go1.2 linux/amd64", False),
    ],
)
def test_another_version_than_was_asked_for_is_no_step(script: str, said: str, fits: bool, tmp_path) -> None:
    (step,) = plan("node@20" if script == "node" else "go@1.22", image="mine").steps
    (tmp_path / script).write_text(f"#!/bin/sh\necho {said}\n")
    (tmp_path / script).chmod(0o755)
    lines = "".join(f"{line}\n" for line in step.script.splitlines() if not line.startswith("ln "))
    done = subprocess.run(
        ["/bin/sh", "-ec", lines], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, check=False
    )
    assert (done.returncode == 0) is fits, done.stderr
    assert fits or b"expected" in done.stderr
