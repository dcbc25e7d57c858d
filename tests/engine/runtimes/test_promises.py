"""What is promised of runtimes: detection, sandbox modes and their defaults, overriding, where the proxy is,
platform support, Apple's limits, the comparison, the errors.

Each row goes through everything that decides it, from the machine to what the engine is asked for. Beside it
stand test_detect.py (every machine), test_sandbox.py and docker/test_body.py (each part by itself); the real
thing is in tests/e2e and in each runtime's test_live.py, what it costs in tests/benchmarks/start_up.py.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pytest

from engine.errors import MoatError, RuntimeUnavailable, SandboxUnavailable, UsageError
from engine.runtimes import (
    ABILITIES,
    ContainerSpec,
    EngineInfo,
    HostFacts,
    Network,
    choose_runtime,
    engine_terms,
    open_runtime,
)
from engine.runtimes.abilities import refuse_docker
from engine.runtimes.docker.body import container_body
from engine.runtimes.sandbox import GVISOR_RUNTIME

NATIVE = EngineInfo("28", "1.51", "linux", "amd64", "linux", frozenset({"runc", "runsc"}), False, "Debian")
BARE = msgspec.structs.replace(NATIVE, runtimes=frozenset({"runc"}))
DESKTOP = msgspec.structs.replace(BARE, platform="desktop", operating_system="Docker Desktop")
NETWORK = Network("moat-run_1", "n", "172.18.0.1", "172.18.0.0/16", False)
RUNC = None  # nothing is asked for: the engine's own default


class Machine(NamedTuple):
    host: HostFacts
    engine: EngineInfo


LINUX = Machine(HostFacts("linux", "x86_64"), NATIVE)
LINUX_ARM = Machine(HostFacts("linux", "aarch64"), NATIVE)
LINUX_WITHOUT_GVISOR = Machine(HostFacts("linux", "x86_64"), BARE)
WINDOWS = Machine(HostFacts("win32", "amd64"), DESKTOP)
MAC_INTEL = Machine(HostFacts("darwin", "x86_64", 26, ""), DESKTOP)
SEQUOIA = Machine(HostFacts("darwin", "arm64", 15, ""), DESKTOP)
TAHOE = Machine(HostFacts("darwin", "arm64", 26, ""), DESKTOP)
TAHOE_STOPPED = Machine(HostFacts("darwin", "arm64", 26, "stopped"), DESKTOP)
TAHOE_WITHOUT = Machine(HostFacts("darwin", "arm64", 26, "absent"), DESKTOP)


def isolation(machine: Machine, *, environment: str = "", sandbox: bool | None = None) -> tuple[str, object]:
    """The runtime and the OCI runtime that a container is made with. sandbox: False is --no-sandbox."""
    runtime = choose_runtime("", environment, "", machine.host)
    if runtime != "docker":
        return runtime, None
    terms = engine_terms(machine.engine, NETWORK, sandbox, 1000, 1000)
    spec = ContainerSpec(
        run_id="run_1", home_label="h", name="n", image="i", network=NETWORK, sandbox=terms.sandbox
    )
    return runtime, container_body(spec)["HostConfig"].get("Runtime", RUNC)


@pytest.mark.parametrize(
    ("machine", "by_default", "no_sandbox"),
    [
        pytest.param(LINUX, ("docker", "runsc"), ("docker", RUNC), id="Linux"),
        pytest.param(LINUX_ARM, ("docker", "runsc"), ("docker", RUNC), id="Linux on ARM"),
        pytest.param(LINUX_WITHOUT_GVISOR, SandboxUnavailable, ("docker", RUNC), id="Linux without gVisor"),
        pytest.param(WINDOWS, ("docker", RUNC), ("docker", RUNC), id="Windows"),
        pytest.param(MAC_INTEL, ("docker", RUNC), ("docker", RUNC), id="macOS 26 on Intel"),
        pytest.param(SEQUOIA, ("docker", RUNC), ("docker", RUNC), id="macOS 15"),
        pytest.param(TAHOE, ("apple", None), ("apple", None), id="macOS 26 on Apple Silicon"),
        pytest.param(TAHOE_STOPPED, ("docker", RUNC), ("docker", RUNC), id="its services stopped"),
        pytest.param(TAHOE_WITHOUT, ("docker", RUNC), ("docker", RUNC), id="`container` not installed"),
    ],
)
def test_each_platform_has_its_runtime_and_mode(machine, by_default, no_sandbox) -> None:
    assert isolation(machine, sandbox=False) == no_sandbox
    if isinstance(by_default, tuple):
        assert isolation(machine) == by_default
    else:
        with pytest.raises(by_default):
            isolation(machine)


@pytest.mark.parametrize(
    ("machine", "environment", "found"),
    [
        (LINUX, "docker", ("docker", "runsc")),
        (LINUX, "bubblewrap", ("bubblewrap", None)),
        (TAHOE, "docker", ("docker", RUNC)),
        (TAHOE, "apple", ("apple", None)),
        (LINUX, "apple", RuntimeUnavailable),
        (SEQUOIA, "apple", RuntimeUnavailable),
        (WINDOWS, "apple", RuntimeUnavailable),
        (TAHOE_STOPPED, "apple", RuntimeUnavailable),
        (WINDOWS, "bubblewrap", RuntimeUnavailable),
        (TAHOE, "bubblewrap", RuntimeUnavailable),
        (LINUX, "podman", UsageError),
    ],
)
def test_moat_runtime_forces_a_runtime_or_is_an_error(machine, environment, found) -> None:
    if isinstance(found, tuple):
        assert isolation(machine, environment=environment) == found
    else:
        with pytest.raises(found):
            isolation(machine, environment=environment)


async def test_docker_that_was_asked_for_and_does_not_answer_is_an_error() -> None:
    with pytest.raises(RuntimeUnavailable) as caught:
        async with open_runtime("docker", {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}):
            pass
    assert caught.value.remedy


def test_the_gvisor_error_holds_its_installation() -> None:
    """To be copied from the error: Debian's and Ubuntu's way, from gvisor.dev's own repository."""
    with pytest.raises(SandboxUnavailable) as caught:
        isolation(LINUX_WITHOUT_GVISOR)
    said = caught.value.lines()
    assert len(said) <= 3
    steps = (
        "https://gvisor.dev/archive.key", "/etc/apt/sources.list.d/gvisor.list", "apt-get update",
        f"apt-get install -y {GVISOR_RUNTIME}", f"{GVISOR_RUNTIME} install", "restart docker",
    )  # fmt: skip
    places = [said[1].find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)
    assert "--no-sandbox" in said[2]


@pytest.mark.parametrize(
    ("engine", "reached_at", "bound_to", "peers"),
    [
        # loopback, where a container reaches it; on native Linux none does, and the gateway of the run's own
        # bridge is what only the run's container and this machine can connect to
        (DESKTOP, "host.docker.internal", "127.0.0.1", "127.0.0.0/8"),
        (NATIVE, "host.docker.internal", "172.18.0.1", "172.18.0.0/16"),
    ],
)
def test_dockers_proxy_is_where_nobody_else_reaches_it(engine, reached_at, bound_to, peers) -> None:
    reach = engine_terms(engine, NETWORK, False, 1000, 1000).reach
    assert (reach.host, reach.bind, reach.peers) == (reached_at, bound_to, peers)


# The comparison's rows, as (Docker, bubblewrap, Apple containers). Docker's are those of gVisor too: what a
# container may ask for is not its sandbox's to decide.
COMPARISON = {
    "docker:host": (True, False, False),
    "docker:dind": (True, False, False),
    "privileged": (True, False, False),
}


@pytest.mark.parametrize("feature", COMPARISON)
def test_the_comparison_of_features(feature) -> None:
    for runtime, can in zip(("docker", "bubblewrap", "apple"), COMPARISON[feature], strict=True):
        if can:
            refuse_docker(runtime, feature)
            continue
        with pytest.raises(MoatError) as caught:
            refuse_docker(runtime, feature)
        assert runtime in caught.value.what
        assert caught.value.remedy


def test_gvisor_is_dockers_alone_and_apple_needs_the_images_of_containers() -> None:
    assert {name for name, able in ABILITIES.items() if able.gvisor} == {"docker"}
    assert {name for name, able in ABILITIES.items() if able.images} == {"docker", "apple"}
    assert {name for name, able in ABILITIES.items() if able.open_network} == {"docker", "apple"}


@pytest.mark.parametrize(
    ("host", "lacks"),
    [
        (LINUX.host, "macOS 26 or newer on Apple Silicon"),
        (SEQUOIA.host, "macOS 26 or newer on Apple Silicon"),
        (MAC_INTEL.host, "macOS 26 or newer on Apple Silicon"),
        (TAHOE_WITHOUT.host, "github.com/apple/container/releases"),
        (TAHOE_STOPPED.host, "container system start"),
    ],
)
def test_apples_requirements_are_said_by_the_error(host, lacks) -> None:
    with pytest.raises(RuntimeUnavailable) as caught:
        choose_runtime("apple", "", "", host)
    assert lacks in " ".join(caught.value.lines())
