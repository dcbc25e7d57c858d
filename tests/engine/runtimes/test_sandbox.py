from __future__ import annotations

import msgspec
import pytest

from engine.errors import RuntimeUnavailable, SandboxUnavailable
from engine.runtimes import EngineInfo, Network, choose_sandbox, container_user, engine_terms, proxy_reach

LINUX = EngineInfo(
    version="28.0.0",
    api_version="1.44",
    os="linux",
    arch="amd64",
    platform="linux",
    runtimes=frozenset({"runc", "runsc"}),
    rootless=False,
    operating_system="Debian GNU/Linux 12",
)
NO_GVISOR = msgspec.structs.replace(LINUX, runtimes=frozenset({"runc"}))
DESKTOP = msgspec.structs.replace(NO_GVISOR, platform="desktop", operating_system="Docker Desktop")
ROOTLESS = msgspec.structs.replace(LINUX, rootless=True)


@pytest.mark.parametrize(
    ("requested", "engine", "sandbox"),
    [
        (None, LINUX, "gvisor"),
        (True, LINUX, "gvisor"),
        (False, LINUX, "standard"),
        (False, NO_GVISOR, "standard"),
        (None, DESKTOP, "standard"),
        (True, DESKTOP, "standard"),
        (False, DESKTOP, "standard"),
        (None, msgspec.structs.replace(LINUX, platform="desktop"), "standard"),
    ],
)
def test_the_mode_per_platform(requested, engine, sandbox) -> None:
    assert choose_sandbox(requested, engine.platform, engine.runtimes) == sandbox


@pytest.mark.parametrize("requested", [None, True])
def test_without_gvisor_linux_gets_the_way_to_install_it(requested) -> None:
    with pytest.raises(SandboxUnavailable) as caught:
        choose_sandbox(requested, "linux", {"runc"})
    text = " ".join(caught.value.lines())
    for part in (
        "https://gvisor.dev/archive.key",
        "apt-get install -y runsc",
        "moat doctor --fix",
        "--no-sandbox",
    ):
        assert part in text
    assert len(caught.value.lines()) <= 3


def network(internal: bool) -> Network:
    return Network("moat-run_1", "id", "172.18.0.1", "172.18.0.0/16", internal)


@pytest.mark.parametrize("internal", [True, False])
def test_on_linux_the_proxy_is_at_the_gateway(internal) -> None:
    reach = proxy_reach(LINUX, network(internal))
    assert reach.bind == "172.18.0.1"
    assert reach.extra_hosts == {"host.docker.internal": "172.18.0.1"}
    assert reach.peers == "172.18.0.0/16"


def test_on_docker_desktop_the_proxy_is_on_loopback_and_strict_is_refused() -> None:
    reach = proxy_reach(DESKTOP, network(internal=False))
    assert (reach.bind, reach.extra_hosts) == ("127.0.0.1", {})
    with pytest.raises(RuntimeUnavailable, match="strict"):
        proxy_reach(DESKTOP, network(internal=True))


def test_ports_are_published_where_this_machine_reaches_the_container() -> None:
    here = network(internal=False)
    assert engine_terms(LINUX, here, False, 0, 0).unreached == ""
    assert "not reached" in engine_terms(DESKTOP, here, None, 0, 0).unreached


def test_files_belong_to_whoever_ran_moat() -> None:
    assert container_user(LINUX, 1000, 1000) == "1000:1000"
    assert container_user(LINUX, 0, 0) == "0:0"
    assert container_user(ROOTLESS, 1000, 1000) == "0:0"
