"""Packages come from the mirror the system already has, newest first; apt's configuration stays as it is."""

from __future__ import annotations

import pytest

from engine.doctor.packages import (
    Offer,
    Source,
    backports_line,
    install,
    own_release,
    parse_offers,
    parse_sources,
)
from engine.errors import RuntimeFailure

MIRROR, SECURITY = "http://mirror.test/debian/", "http://mirror.test/debian-security/"
TARGETS = f"""bookworm|main|{MIRROR}
bookworm|contrib|{MIRROR}
bookworm|main|{MIRROR}
bookworm-updates|main|{MIRROR}
bookworm-security|main|{SECURITY}
"""
SOURCES = parse_sources(TARGETS)


def test_sources_are_read_without_repeats():
    assert [
        Source("bookworm", "main", MIRROR),
        Source("bookworm", "contrib", MIRROR),
        Source("bookworm-updates", "main", MIRROR),
        Source("bookworm-security", "main", SECURITY),
    ] == SOURCES


def test_backports_are_on_the_same_mirror_with_the_same_components():
    assert (
        backports_line(SOURCES, "bookworm", signed_by="") == f"deb {MIRROR} bookworm-backports main contrib"
    )
    signed = backports_line(SOURCES, "bookworm", signed_by="/k.gpg")
    assert signed.startswith("deb [signed-by=/k.gpg] ")
    assert backports_line(SOURCES, "trixie", signed_by="") == ""


@pytest.mark.parametrize(
    ("names", "codename", "expected"),
    [
        (["bookworm", "bookworm-updates"], "bookworm", "bookworm"),
        (["stable-updates", "stable", "stable/updates"], "bookworm", "stable"),
        ([], "bookworm", "bookworm"),
    ],
)
def test_the_sources_own_name_for_the_release(names, codename, expected):
    assert own_release([Source(name, "main", MIRROR) for name in names], codename) == expected


def test_offers_leave_source_packages_out():
    text = (
        f" runsc | 0.0~2024-4~bpo12+2 | {MIRROR} bookworm-backports/main amd64 Packages\n"
        f" runsc | 0.0~2022-2 | {MIRROR} bookworm/main amd64 Packages\n"
        f" runsc | 0.0~2022-2 | {MIRROR} bookworm/main Sources\n"
        "N: something else\n"
    )
    assert parse_offers(text) == [
        Offer("runsc", "0.0~2024-4~bpo12+2", "bookworm-backports"),
        Offer("runsc", "0.0~2022-2", "bookworm"),
    ]


# A mirror in shell: "old" in the release itself, "new" in backports, which only an apt that was given
# our own lists can see. dpkg knows that new is newer.
APT_GET = """case " $* " in
  *" indextargets "*) printf '%s' '{targets}' ;;
  *" update "*) {update} ;;
  *" install "*) {install} ;;
esac"""
APT_CACHE = """case "$*" in
  *Dir::State::lists=*) echo " runsc | new | m bookworm-backports/main amd64 Packages" ;;
esac
echo " runsc | old | m bookworm/main amd64 Packages" """
DPKG = '[ "$2 $4" = "new old" ]'


@pytest.fixture
def mirror(commands):
    def setup(*, targets=TARGETS, update="exit 0", installs="exit 0", cache=APT_CACHE):
        commands.add("apt-get", APT_GET.format(targets=targets, update=update, install=installs))
        commands.add("apt-cache", cache)
        commands.add("dpkg", DPKG)
        commands.add("dpkg-query", "exit 1")
        return commands

    return setup


def installs_of(commands):
    return [call for call in commands.calls if " install " in call]


async def test_the_backport_is_taken_when_it_is_newer(mirror, machine, said):
    commands = mirror()
    (machine.apt_sources / "debian.sources").write_text("theirs")
    await install(machine, ["runsc"], said)
    (call,) = installs_of(commands)
    assert "-t bookworm-backports install runsc=new" in call
    assert "--no-install-recommends" in call
    assert "DPkg::Lock::Timeout" in call
    assert said == [
        "asking this system's package mirror for runsc",
        "installing runsc=new, with bookworm-backports",
    ]


async def test_what_is_the_newest_already_is_left_alone(mirror, machine, said):
    commands = mirror()
    commands.add("dpkg-query", "echo 'installed runsc new'")
    assert await install(machine, ["runsc"], said) is False
    assert installs_of(commands) == []
    assert "already" in said[-1]


@pytest.mark.parametrize(
    "status", ["installed runsc old", "config-files runsc new", "half-installed runsc new"]
)
async def test_an_older_or_incomplete_one_is_not(mirror, machine, said, status):
    commands = mirror()
    commands.add("dpkg-query", f"echo '{status}'")
    assert await install(machine, ["runsc"], said) is True
    assert len(installs_of(commands)) == 1


async def test_nothing_of_it_stays_behind(mirror, machine, said, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    mirror(installs="exit 1")
    (machine.apt_lists / "theirs_Packages").write_text("list")
    with pytest.raises(RuntimeFailure):
        await install(machine, ["runsc"], said)
    assert list(scratch.iterdir()) == []
    assert [p.name for p in machine.apt_lists.iterdir()] == ["theirs_Packages"]
    assert list(machine.apt_sources.iterdir()) == []


async def test_without_backports_the_release_itself_is_taken(mirror, machine, said):
    commands = mirror(update="case \"$*\" in *List-Cleanup*) echo 'E: 404' >&2; exit 100;; esac")
    await install(machine, ["runsc"], said)
    (call,) = installs_of(commands)
    assert call.endswith("install runsc=old")
    assert "-t" not in call.split()


async def test_backports_among_the_systems_own_sources_need_no_lists_of_ours(mirror, machine, said):
    cache = APT_CACHE.replace("*Dir::State::lists=*", "*")  # the system sees them itself
    commands = mirror(targets=TARGETS + f"bookworm-backports|main|{MIRROR}\n", cache=cache)
    await install(machine, ["runsc"], said)
    assert not any("List-Cleanup" in call for call in commands.calls)
    assert installs_of(commands)[0].endswith("-t bookworm-backports install runsc=new")


async def test_lists_are_updated_only_when_they_do_not_know_the_package(mirror, machine, said, tmp_path):
    known = tmp_path / "updated"
    commands = mirror(update=f"touch {known}", cache=f"[ -e {known} ] || exit 0\n{APT_CACHE}")
    (commands.directory / "touch").symlink_to("/usr/bin/touch")
    await install(machine, ["runsc"], said)
    assert sum(call.endswith(" update") and "List-Cleanup" not in call for call in commands.calls) == 1
    commands.log.unlink()
    await install(machine, ["runsc"], said)
    assert not any(call.endswith(" update") and "List-Cleanup" not in call for call in commands.calls)


async def test_a_failure_quotes_apt_and_names_the_command(mirror, machine, said):
    mirror(installs="echo 'E: Unable to correct problems' >&2; exit 100")
    with pytest.raises(RuntimeFailure) as caught:
        await install(machine, ["runsc"], said)
    assert "Unable to correct problems" in caught.value.detail
    assert "apt-get install runsc" in caught.value.remedy


async def test_a_system_without_apt_is_told_what_it_needs(machine, said):
    with pytest.raises(RuntimeFailure, match="no apt-get"):
        await install(machine, ["runsc"], said)
    assert said == []


async def test_a_user_installs_through_sudo_and_never_waits_for_a_password(mirror, machine, altered, said):
    commands = mirror()
    commands.add("env", 'while case $1 in *=*) true;; *) false;; esac; do shift; done; exec "$@"')
    commands.add("sudo", 'shift; exec "$@"')
    await install(altered(machine, uid=1000), ["runsc"], said)
    through_sudo = [call for call in commands.calls if call.startswith("sudo ") and " install " in call]
    assert through_sudo
    assert all(call.startswith("sudo -n env DEBIAN_FRONTEND=noninteractive apt-get") for call in through_sudo)


async def test_a_refusing_sudo_leads_to_the_command_to_run(mirror, machine, altered, said):
    commands = mirror(cache="exit 0")
    commands.add("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    with pytest.raises(RuntimeFailure) as caught:
        await install(altered(machine, uid=1000), ["runsc"], said)
    assert "needs root" in caught.value.what
    assert "apt-get" in caught.value.remedy
