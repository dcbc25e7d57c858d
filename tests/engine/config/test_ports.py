"""`-p` and `ports`: names, numbers, and whose word counts."""

from __future__ import annotations

import pytest

from engine.config import Port, joined_ports, parse_port
from engine.errors import UsageError

WEB = Port("web", 3000)


@pytest.mark.parametrize(
    ("text", "name", "number"),
    [("web:3000", "web", 3000), ("3000", "port-3000", 3000), ("My_api-2:65535", "My_api-2", 65535)],
)
def test_a_port_has_a_name(text, name, number):
    assert parse_port(text) == Port(name, number)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "web:", ":3000", "0", "web:0", "web:65536", "web:03000", "web:+1", "web:1_0", "web: 1",
        "web:१", "8080:3000", "127.0.0.1:80", "0.0.0.0:8080:80", "web:3000/udp", "we b:1", "web\n:1",
        "web:3000\n", "-p:1", "w" * 32 + ":1", "web=:1",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="expected NAME:PORT"):
        parse_port(text)


@pytest.mark.parametrize(
    ("asked", "given", "joined"),
    [
        ([], [], []),
        ([WEB], [Port("api", 1)], [WEB, Port("api", 1)]),
        ([WEB], [Port("web", 1)], [Port("web", 1)]),
        ([WEB], [parse_port("3000")], [WEB]),  # it has a name already
        ([], [parse_port("3000"), parse_port("3000")], [Port("port-3000", 3000)]),
    ],
)
def test_the_persons_own_word_counts(asked, given, joined):
    assert list(joined_ports(asked, given)) == joined


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ([], [WEB, Port("web", 1)]),
        ([WEB], [Port("Web", 1)]),
        ([], [Port(f"p{number}", number) for number in range(1, 18)]),
    ],
)
def test_two_that_cannot_be_told_apart_and_too_many_are_refused(asked, given):
    with pytest.raises(UsageError):
        joined_ports(asked, given)
