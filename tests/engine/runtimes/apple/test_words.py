"""What a container is asked for, word by word."""

from __future__ import annotations

import pytest

from engine.errors import UsageError
from engine.runtimes import Bind, ContainerSpec, ImageFacts, Network
from engine.runtimes.apple.words import create_words


def words(*, internal=False, capabilities=True, init=True, image=None, **fields):
    network = Network("moat-run_1", "moat-run_1", "192.168.65.1", "192.168.65.0/24", internal)
    spec = ContainerSpec(
        run_id="run_1", home_label="h", name="moat-run_1", image="img", network=network,
        **({"command": ("agent", "--flag"), "user": "501:20"} | fields),
    )  # fmt: skip
    return create_words(spec, image or ImageFacts(), "/tmp/staged", capabilities=capabilities, init=init)


def test_the_whole_of_an_ordinary_one() -> None:
    asked = words(
        internal=True, interactive=True, tty=True, dns=("9.9.9.9",), memory_mb=512, cpus=1.5,
        binds=(Bind("/Users/me/code", "/workspace"), Bind("/Users/me/data", "/data", read_only=True)),
    )  # fmt: skip
    caps = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID".split()  # noqa: SIM905
    assert asked == [
        "create", "--name", "moat-run_1", "--label", "moat.run=run_1", "--label", "moat.home=h",
        "--network", "moat-run_1", "--workdir", "/workspace", "--user", "501:20", "--interactive", "--tty",
        "--mount", "type=bind,source=/Users/me/code,target=/workspace",
        "--mount", "type=bind,source=/Users/me/data,target=/data,readonly",
        "--mount", "type=bind,source=/tmp/staged,target=/.moat,readonly",
        "--no-dns", "--memory", "512M", "--cpus", "2",
        "--cap-drop", "ALL", *(word for name in caps for word in ("--cap-add", name)), "--init",
        "--entrypoint", "/bin/sh", "img", "/.moat/start", "--", "agent", "--flag",
    ]  # fmt: skip


def test_names_are_resolved_only_where_there_is_a_way_out() -> None:
    assert words(dns=("9.9.9.9", "1.1.1.1")).count("--dns") == 2
    assert "--no-dns" not in words()


def test_an_old_release_is_not_asked_for_what_it_does_not_know() -> None:
    asked = words(capabilities=False, init=False)
    assert "--cap-drop" not in asked
    assert "--init" not in asked


def test_never_privileged_and_no_socket_of_an_engine() -> None:
    asked = words(internal=True)
    assert not {"--privileged", "--virtualization", "--ssh", "--publish-socket", "--publish", "NET_ADMIN"} & {
        *asked
    }


def test_the_images_entrypoint_stays_and_its_command_gives_way() -> None:
    image = ImageFacts("", ("entry",), ("own",))
    assert words(image=image)[-4:] == ["--", "entry", "agent", "--flag"]
    assert words(image=image, command=())[-3:] == ["--", "entry", "own"]
    assert words(image=image, entrypoint=False)[-3:] == ["--", "agent", "--flag"]


def test_paths_that_would_be_read_as_something_else() -> None:
    assert words(binds=(Bind("/a,b", "/c"),))[11:15] == ["--user", "501:20", "--volume", "/a,b:/c"]
    assert "/a=b:/c:ro" in words(binds=(Bind("/a=b", "/c", read_only=True),))
    assert "type=bind,source=/a:b,target=/c" in words(binds=(Bind("/a:b", "/c"),))
    with pytest.raises(UsageError, match="cannot be given to Apple's `container`"):
        words(binds=(Bind("/a:b,readonly", "/c"),))
