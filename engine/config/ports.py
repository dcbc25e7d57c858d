"""Ports of the container that a person's own programs reach on this machine's loopback. Pure.

ports: {web: 3000, api: 8080}        -p web:3000, -p 3000
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from engine.config.values import Value, shown
from engine.errors import UsageError

MOST = 16

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}")
_A_NAME = "a name of letters, digits, - and _ that begins with a letter"
_NUMBER = re.compile(r"[1-9][0-9]{0,4}")


class Port(msgspec.Struct, frozen=True):
    """number: of the container's port, 1 to 65535."""

    name: str
    number: int

    @property
    def variable(self) -> str:
        """What it is called in the names of variables: WEB, MY_API."""
        return self.name.upper().replace("-", "_")

    def __str__(self) -> str:
        return f"{self.name}:{self.number}"


def parse_port(text: str) -> Port:
    """`NAME:PORT`, or PORT alone, which is then called port-PORT. Raises UsageError."""
    name, _, number = text.rpartition(":")
    name = name if ":" in text else f"port-{number}"
    if not _NAME.fullmatch(name) or not _NUMBER.fullmatch(number) or int(number) > 65535:
        raise UsageError(
            f"port {shown(text)}: expected NAME:PORT or PORT, the port of the container",
            remedy="Write -p web:3000; on this machine it has the same number, or a free one.",
        )
    return Port(name, int(number))


def read_ports(value: Value) -> tuple[Port, ...]:
    """The mapping in agent.yaml. Raises ConfigError."""
    ports: list[Port] = []
    for name, item in value.pairs("names to ports").items():
        if not _NAME.fullmatch(name):
            raise item.refused(f"expected {_A_NAME}, found {shown(name)}", remedy="Write web: 3000.")
        ports.append(Port(name, item.whole(1, 65535, "a port")))
        try:
            check_ports(ports)
        except UsageError as error:
            raise item.explained(error) from None
    return tuple(ports)


def check_ports(ports: Iterable[Port]) -> None:
    """Raise UsageError where two cannot be told apart, or where there are too many."""
    variables: dict[str, Port] = {}
    for port in ports:
        other = variables.setdefault(port.variable, port)
        if other is not port:
            raise UsageError(
                f"the ports {other} and {port} would have the same variables",
                remedy="Give each its own name.",
            )
    if len(variables) > MOST:
        raise UsageError(f"a run publishes at most {MOST} ports", remedy="Leave some out.")


def joined_ports(asked: Iterable[Port], given: Iterable[Port]) -> tuple[Port, ...]:
    """agent.yaml's and the person's own, who may give a name another number. Raises UsageError."""
    own = tuple(dict.fromkeys(given))
    check_ports(own)
    ports = {port.name: port for port in asked}
    numbers = {port.number for port in ports.values()}
    for port in own:
        if not (port.name == f"port-{port.number}" and port.number in numbers):  # it has a name already
            ports[port.name] = port
    check_ports(ports.values())
    return tuple(ports.values())
