"""The base image is pulled where a registry answers, built where none does, and never overwritten."""

from __future__ import annotations

import asyncio

import pytest

from engine.doctor.base_image import check_image, ensure_images, pull
from engine.doctor.docker_engine import connected
from engine.doctor.image_build import RELEASE, command, debian_lines, without_password
from engine.doctor.packages import Source
from engine.doctor.results import CheckState
from engine.errors import ImageUnavailable

MIRROR = "http://mirror.test/debian/"
TARGETS = f"bookworm|main|{MIRROR}\nbookworm-security|main|http://mirror.test/debian-security/\n"
BASE, TOOLS = "debian:bookworm-slim", "moat-base:bookworm"
TAR = "a root file system"


@pytest.fixture
def builder(commands):
    def setup(body=f"printf '%s' '{TAR}'"):
        commands.add("apt-get", f"printf '%s' '{TARGETS}'")
        commands.add("apt-config", """echo 'Acquire::http::Proxy "http://user:secret@proxy.test";'""")
        commands.add("mmdebstrap", body)
        return commands

    return setup


def test_debian_builds_bookworm_from_its_own_mirror_whatever_its_own_release():
    names = ("trixie", "trixie-updates", "trixie-security", "trixie-backports", "trixie-proposed-updates")
    sources = [Source(name, "main", MIRROR) for name in names] + [Source("trixie", "non-free", MIRROR)]
    suite, lines = debian_lines(sources, "debian", "trixie")
    assert suite == RELEASE
    assert lines == [
        f"deb {MIRROR} bookworm main",
        f"deb {MIRROR} bookworm-updates main",
        f"deb {MIRROR} bookworm-security main",
    ]


def test_another_system_builds_its_own_release():
    sources = [Source("noble", "main", MIRROR), Source("noble", "universe", MIRROR)]
    assert debian_lines(sources, "ubuntu", "noble") == (
        "noble",
        [f"deb {MIRROR} noble main", f"deb {MIRROR} noble universe"],
    )


def test_a_mirror_on_a_cd_is_no_mirror():
    assert debian_lines([Source("bookworm", "main", "cdrom://x/")], "debian", "bookworm")[1] == []


def test_a_mirrors_password_stays_out_of_the_image_and_of_the_arguments(tmp_path):
    assert without_password("deb http://me:pw@mirror.test/debian bookworm main") == (
        "deb http://mirror.test/debian bookworm main"
    )
    files = [tmp_path / name for name in ("sources", "clean", "conf")]
    assert not any("http" in part for part in command("bookworm", *files))


async def test_a_pull_that_works_leaves_the_official_image_alone_and_builds_the_other(
    engine, machine, builder, said
):
    builder()
    engine.pull_error = ""
    await ensure_images(machine, said)
    assert engine.images[BASE] == ["curl", "git", "python3", "ssh"]
    assert engine.images[TOOLS] == []
    assert "it stays as it is" in said.text
    result = await check_image(machine)
    assert result.state is CheckState.OK
    assert "without curl" in result.message


async def test_without_a_registry_the_image_is_built_and_has_both_names(engine, machine, builder, said):
    commands = builder()
    await ensure_images(machine, said)
    assert engine.imported.decode() == TAR
    assert engine.images[BASE] == engine.images[TOOLS] == []
    assert [line.split()[0] for line in said] == ["pulling", "debian:bookworm-slim", "building"]
    (call,) = [call for call in commands.calls if call.startswith("mmdebstrap")]
    assert "secret" not in call
    assert "ca-certificates,curl,git,python3,openssh-client" in call


async def test_a_second_time_does_nothing(engine, machine, builder, said):
    builder()
    await ensure_images(machine, said)
    said.clear()
    await ensure_images(machine, said)
    assert said == []


async def test_an_image_with_tools_only_gets_its_second_name(engine, machine, said):
    engine.images[BASE] = []
    assert (await check_image(machine)).state is CheckState.WARN
    await ensure_images(machine, said)
    assert TOOLS in engine.images
    assert (await check_image(machine)).state is CheckState.OK


@pytest.mark.parametrize(
    "body",
    [
        "echo 'E: mirror gone' >&2; exit 1",
        f"printf '%s' '{TAR}'; echo 'E: mirror gone' >&2; exit 1",
    ],
)
async def test_a_build_that_breaks_off_leaves_no_image(engine, machine, builder, said, body):
    builder(body)
    with pytest.raises(ImageUnavailable) as caught:
        await ensure_images(machine, said)
    assert "mirror gone" in caught.value.detail
    assert engine.images == {}


async def test_a_daemon_that_refuses_the_import_is_quoted_and_the_build_is_ended(
    engine, machine, builder, said
):
    # More output than any pipe holds: the builder can only end by being ended.
    commands = builder("head -c 3000000 /dev/zero; sleep 60")
    (commands.directory / "head").symlink_to("/usr/bin/head")
    engine.import_error = "no space left on device"
    async with asyncio.timeout(20):
        with pytest.raises(ImageUnavailable) as caught:
            await ensure_images(machine, said)
    assert "no space left" in caught.value.detail
    assert engine.images == {}


async def test_a_silent_registry_is_not_waited_for(engine, machine, said):
    engine.pull_hangs = True
    async with connected(machine, timeout=20) as docker:
        with pytest.raises(ImageUnavailable, match="no registry answered"):
            async with asyncio.timeout(10):
                await pull(docker, BASE, said, first_word=0.2)


async def test_an_image_that_does_not_start_is_a_failure_with_the_daemons_words(engine, machine):
    engine.images[BASE] = []
    engine.start_error["runc"] = "no space left on device"
    result = await check_image(machine)
    assert result.state is CheckState.FAIL
    assert "no space left" in result.message


async def test_without_an_engine_it_says_that_it_could_not_look(machine):
    assert "Docker engine does not answer" in (await check_image(machine)).message
