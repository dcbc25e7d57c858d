"""What `container` prints as JSON, of every release that Moat knows, as values."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.errors import ContainerFailed, RuntimeUnavailable
from engine.runtimes.spec import HOME_LABEL, RUN_LABEL, ImageFacts, Leftover


class State(msgspec.Struct, frozen=True):
    """state: "running", "stopped" and others; "" for none. address: IPv4, "" before it has one."""

    name: str = ""
    state: str = ""
    address: str = ""
    labels: dict[str, str] = {}


class NetworkState(msgspec.Struct, frozen=True):
    """gateway: this machine's address on it; subnet: its CIDR (IPv4). routed: its containers get a default
    route to the gateway.
    """

    name: str
    gateway: str
    subnet: str
    routed: bool
    labels: dict[str, str]


def read_containers(text: bytes) -> list[State]:
    """`container list --format json`, and `container inspect`, which gives a list of one or none."""
    return [_state(found) for found in _list(text)]


def read_networks(text: bytes) -> list[NetworkState]:
    """`container network list --format json`, and `container network inspect`."""
    return [network for found in _list(text) if (network := _network(found))]


def read_image(text: bytes) -> ImageFacts:
    """`container image inspect`: of the variant for this machine's processor, if it is among several."""
    variants = [_dict(variant) for image in _list(text) for variant in image.get("variants") or ()]
    if not variants:
        return ImageFacts()
    own = [each for each in variants if _dict(each.get("platform")).get("architecture") == "arm64"]
    config = _dict(_dict((own or variants)[0].get("config")).get("config"))
    return ImageFacts(entrypoint=_words(config.get("Entrypoint")), command=_words(config.get("Cmd")))


def container_leftover(found: State) -> Leftover:
    run_id = found.labels.get(RUN_LABEL, "")
    return Leftover("container", found.name, found.name, run_id, found.state == "running")


def network_leftover(found: NetworkState) -> Leftover:
    return Leftover("network", found.name, found.name, found.labels.get(RUN_LABEL, ""))


def of_home(labels: Mapping[str, str], home_label: str) -> bool:
    return labels.get(HOME_LABEL) == home_label


def _state(found: dict[str, Any]) -> State:
    configuration, status = _dict(found.get("configuration")), found.get("status")
    state = status.get("state") if isinstance(status, dict) else status
    networks = status.get("networks") if isinstance(status, dict) else found.get("networks")
    address = ""
    for network in networks or ():
        address = address or str(network.get("ipv4Address") or network.get("address") or "").partition("/")[0]
    return State(
        name=str(configuration.get("id") or found.get("id") or ""),
        state=str(state or ""),
        address=address,
        labels=_labels(configuration.get("labels")),
    )


def _network(found: dict[str, Any]) -> NetworkState | None:
    """None for one that has no addresses yet, or no IPv4."""
    configuration = _dict(found.get("configuration") or found.get("config"))
    status = _dict(found.get("status"))
    try:
        subnet = ipaddress.IPv4Network(str(status.get("ipv4Subnet") or status.get("address")), strict=False)
    except ValueError:
        return None
    gateway = status.get("ipv4Gateway") or status.get("gateway")
    return NetworkState(
        name=str(found.get("id") or configuration.get("name") or ""),
        gateway=str(gateway or subnet.network_address + 1).partition("/")[0],
        subnet=str(subnet),
        routed=bool(gateway),
        labels=_labels(configuration.get("labels")),
    )


def _list(text: bytes) -> list[dict[str, Any]]:
    try:
        return msgspec.json.decode(text or b"[]", type=list[dict[str, Any]])
    except msgspec.MsgspecError as error:
        raise RuntimeUnavailable(
            "Apple's `container` answered in a form that Moat does not know",
            detail=str(error),
            remedy="Moat knows its releases 0.5 to 1.2; `container --version` says which one this is.",
        ) from error


def _dict(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _labels(found: object) -> dict[str, str]:
    return {str(key): str(value) for key, value in _dict(found).items()}


def _words(found: object) -> tuple[str, ...]:
    return tuple(str(word) for word in found) if isinstance(found, list) else ()


def only(networks: list[NetworkState], name: str) -> NetworkState:
    """The one of that name. Raises ContainerFailed when it has no IPv4 address."""
    for network in networks:
        if network.name == name:
            return network
    raise ContainerFailed(
        "Apple's `container` gave the run's network no IPv4 address",
        remedy="See `container network list`, and start the run again.",
    )
