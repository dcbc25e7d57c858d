from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv4Network

import pytest

from engine.errors import ContainerFailed
from engine.runtimes.docker.network import addresses, interface_name, network_body
from engine.runtimes.docker.subnet import (
    POOLS,
    dead_end,
    engine_subnets,
    free_subnets,
    host_routes,
    place_of_host,
)


def test_a_chosen_range_overlaps_nothing_in_use() -> None:
    taken = [IPv4Network("192.168.240.0/21"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.250.16/30")]
    found = list(free_subnets(taken))
    assert found[0].subnet_of(POOLS[0])
    assert not any(subnet.overlaps(used) for subnet in found for used in taken)
    assert not any(subnet.subnet_of(POOLS[1]) for subnet in found)
    assert found[-1].subnet_of(POOLS[2])


def test_nothing_is_left_when_everything_is_in_use() -> None:
    assert list(free_subnets([IPv4Network("0.0.0.0/0")])) == []


def test_the_way_out_leads_to_an_address_nobody_has() -> None:
    config = dead_end(IPv4Network("192.168.250.16/28"))
    assert config["Gateway"] == "192.168.250.17"
    out = IPv4Address(config["AuxiliaryAddresses"]["DefaultGatewayIPv4"])
    assert out == IPv4Address("192.168.250.30")


@pytest.mark.skipif(sys.byteorder != "little", reason="the sample is from a little-endian machine")
def test_the_hosts_routes_without_its_default() -> None:
    table = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "tun0\t0000DB0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\n"
    )
    assert host_routes(table) == [IPv4Network("192.0.2.0/24"), IPv4Network("10.219.0.0/16")]


def test_the_engines_ranges_survive_gaps_and_ipv6() -> None:
    networks = [
        {"IPAM": {"Config": [{"Subnet": "172.18.0.0/16"}, {"Subnet": "fd00::/64"}]}},
        {"IPAM": {"Config": None}},
        {"IPAM": {"Config": [{}]}},
        {},
    ]
    assert engine_subnets(networks) == [IPv4Network("172.18.0.0/16")]


@pytest.mark.parametrize(
    ("pool", "gateway"),
    [
        ({"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}, "172.18.0.1"),
        ({"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1/16"}, "172.18.0.1"),
        ({"Subnet": "172.18.0.0/16"}, "172.18.0.1"),
    ],
)
def test_the_gateway_in_each_of_its_spellings(pool, gateway) -> None:
    found = {"IPAM": {"Config": [{"Subnet": "fd00::/64", "Gateway": "fd00::1"}, pool]}}
    assert addresses(found) == (gateway, "172.18.0.0/16")


def test_a_network_without_ipv4_is_an_error() -> None:
    with pytest.raises(ContainerFailed, match="no IPv4 address"):
        addresses({"IPAM": {"Config": [{"Subnet": "fd00::/64"}]}})


def test_apart_the_host_has_no_address_and_another_is_kept_for_who_takes_its_place() -> None:
    option = "com.docker.network.bridge.inhibit_ipv4"
    assert network_body("run_1", "home", internal=True, apart=True)["Options"][option] == "true"
    assert option not in network_body("run_1", "home", internal=True)["Options"]
    subnet = IPv4Network("192.168.250.16/28")
    others = dead_end(subnet)
    assert place_of_host(subnet) == "192.168.250.29"
    assert place_of_host(subnet) not in (others["Gateway"], *others["AuxiliaryAddresses"].values())


def test_the_request_for_a_network() -> None:
    body = network_body("run_1", "home", internal=True)
    assert body["Name"] == "moat-run_1"
    assert body["Internal"] is True
    assert body["EnableIPv6"] is False
    assert body["Labels"] == {"moat.run": "run_1", "moat.home": "home"}
    assert len(interface_name("run_" + "x" * 60)) <= 15
    assert interface_name("run_1") != interface_name("run_2")
