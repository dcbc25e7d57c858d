"""The table of detection, over every machine, every state of Apple containers and every override."""

from __future__ import annotations

import itertools

import pytest

from engine.errors import RuntimeUnavailable, UsageError
from engine.runtimes import HostFacts, choose_runtime

LINUX = HostFacts("linux", "x86_64")
TAHOE = HostFacts("darwin", "arm64", 26, "")

MACHINES = [
    HostFacts(system, machine, macos, lacks)
    for (system, versions), machine, lacks in itertools.product(
        (("linux", (0,)), ("win32", (0,)), ("darwin", (14, 15, 26, 27))),
        ("x86_64", "amd64", "arm64", "aarch64"),
        ("", "stopped", "absent"),
    )
    for macos in versions
]


def expected(host: HostFacts) -> str:
    """As the README says."""
    if host.system == "darwin" and host.macos >= 26 and host.machine == "arm64" and host.apple_lacks == "":
        return "apple"
    return "docker"


@pytest.mark.parametrize("host", MACHINES, ids=str)
def test_detection(host) -> None:
    assert choose_runtime("", "", "", host) == expected(host)


@pytest.mark.parametrize("host", MACHINES, ids=str)
def test_what_is_asked_for_is_given_or_refused_and_nothing_else(host) -> None:
    for place, who in enumerate(("--runtime", "MOAT_RUNTIME", "runtime")):
        for asked in ("docker", "apple", "bubblewrap"):
            wishes = ["", "", ""]
            wishes[place] = f" {asked.title()} "
            available = {
                "docker": True,  # whether its engine answers is said when it is opened
                "apple": expected(host) == "apple",
                "bubblewrap": host.system == "linux",
            }
            if available[asked]:
                assert choose_runtime(*wishes, host) == asked
                continue
            with pytest.raises(RuntimeUnavailable) as caught:
                choose_runtime(*wishes, host)
            assert caught.value.what.startswith(f"{who} asks for the runtime '{asked}'")
            assert caught.value.remedy


@pytest.mark.parametrize("wishes", list(itertools.product(("", "docker", "apple", "bubblewrap"), repeat=3)))
@pytest.mark.parametrize("host", [LINUX, TAHOE], ids=["linux", "tahoe"])
def test_who_asks_first_is_heard(wishes, host) -> None:
    first = next((wish for wish in wishes if wish), "")
    if first == {LINUX: "apple", TAHOE: "bubblewrap"}[host]:
        with pytest.raises(RuntimeUnavailable, match=f"'{first}'"):
            choose_runtime(*wishes, host)
    else:
        assert choose_runtime(*wishes, host) == (first or expected(host))


@pytest.mark.parametrize(
    ("host", "why", "remedy"),
    [
        (LINUX, "macOS 26 or newer on Apple Silicon", "docker"),
        (HostFacts("darwin", "x86_64", 26, ""), "macOS 26 or newer on Apple Silicon", "docker"),
        (HostFacts("darwin", "arm64", 15, ""), "macOS 26 or newer on Apple Silicon", "docker"),
        (HostFacts("darwin", "arm64", 26, "absent"), "not installed", "apple/container/releases"),
        (HostFacts("darwin", "arm64", 26, "stopped"), "do not run", "container system start"),
    ],
)
def test_why_apple_containers_are_not_available(host, why, remedy) -> None:
    with pytest.raises(RuntimeUnavailable) as caught:
        choose_runtime("", "apple", "", host)
    assert why in caught.value.detail
    assert remedy in caught.value.remedy


def test_an_unknown_name_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        choose_runtime("", "dokcer", "", LINUX)
    assert caught.value.exit_code == 2
    assert "MOAT_RUNTIME" in caught.value.what
    assert "docker, bubblewrap, apple" in caught.value.remedy
    assert "Did you mean 'docker'" in caught.value.remedy


def test_the_host_is_read_without_being_given() -> None:
    assert HostFacts.read().system
    assert choose_runtime("", "", "")
