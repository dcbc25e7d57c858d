from __future__ import annotations

import pytest

from engine.errors import RuntimeUnavailable, UsageError
from engine.runtimes import HostFacts, choose_runtime

LINUX = HostFacts("linux", "x86_64")
TAHOE = HostFacts("darwin", "arm64", 26)


@pytest.mark.parametrize(
    ("flag", "environment", "config", "host", "chosen"),
    [
        ("", "", "", LINUX, "docker"),
        ("", "", "", TAHOE, "docker"),
        ("", "", "", HostFacts("win32", "amd64"), "docker"),
        ("docker", "", "", TAHOE, "docker"),
        ("", "docker", "", TAHOE, "docker"),
        ("", "", "docker", TAHOE, "docker"),
        ("docker", "apple", "apple", TAHOE, "docker"),
        ("", "docker", "apple", TAHOE, "docker"),
        ("", " Docker ", "", LINUX, "docker"),
    ],
)
def test_who_asks_first_is_heard(flag, environment, config, host, chosen) -> None:
    assert choose_runtime(flag, environment, config, host) == chosen


@pytest.mark.parametrize("host", [LINUX, TAHOE])
@pytest.mark.parametrize(
    ("asked", "who"),
    [(("apple", "", ""), "--runtime"), (("", "apple", ""), "MOAT_RUNTIME"), (("", "", "apple"), "runtime")],
)
def test_apple_is_an_error_and_never_a_fallback(host, asked, who) -> None:
    with pytest.raises(RuntimeUnavailable) as caught:
        choose_runtime(*asked, host)
    assert who in caught.value.what
    assert "not supported yet" in caught.value.what


def test_an_unknown_name_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        choose_runtime("", "dokcer", "", LINUX)
    assert caught.value.exit_code == 2
    assert "MOAT_RUNTIME" in caught.value.what
    assert "docker, bubblewrap, apple" in caught.value.remedy
    assert "Did you mean 'docker'" in caught.value.remedy


def test_the_host_is_read_without_being_given() -> None:
    assert HostFacts.read().system
    assert choose_runtime("", "", "") == "docker"
