"""The words that a container with the hook pre_run runs, tried with this machine's shell."""

from __future__ import annotations

import subprocess

import pytest

from engine.errors import UsageError
from engine.run.pre_run import with_pre_run
from engine.runtimes import ImageFacts


def ran(hook: str, *command: str, image: ImageFacts | None = None) -> subprocess.CompletedProcess[str]:
    words = with_pre_run(hook, command, image or ImageFacts())
    return subprocess.run(words, input="typed", capture_output=True, text=True, check=False, timeout=20)


def test_the_commands_words_and_input_are_as_without_it():
    odd = ("$HOME", "a b", "", "-n", "'\"\\", "*", "x\ny")
    done = ran("echo before", "/usr/bin/printf", "[%s]", *odd)
    assert done.stdout == "before\n" + "".join(f"[{word}]" for word in odd)
    assert ran("cat", "cat").stdout == "typed"  # the hook reads nothing


def test_what_fails_in_it_ends_the_run_with_its_exit_code():
    done = ran("false || true\n(exit 7)\necho not reached", "echo", "command")
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr == "moat: the hook pre_run failed with exit code 7\n"


def test_the_command_takes_the_shells_place():
    done = ran("true", "/bin/sh", "-c", "tr '\\0' ' ' </proc/$$/cmdline")
    assert done.stdout.startswith("/bin/sh -c tr")


def test_it_comes_before_the_images_own_entrypoint_and_command():
    image = ImageFacts("sha256:1", ("/usr/bin/printf", "%s,"), ("own",))
    assert ran("true", image=image).stdout == "own,"
    assert ran("true", "given", image=image).stdout == "given,"


def test_something_must_be_there_to_run_after_it():
    with pytest.raises(UsageError, match="nothing to run after the hook"):
        with_pre_run("true", (), ImageFacts("sha256:1"))


def test_what_has_to_be_first_stays_first():
    assert with_pre_run("h", ("c",), ImageFacts(), before=("relay",))[0] == "relay"
