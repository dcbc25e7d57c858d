"""One spelling per host, one verdict per address."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.proxy.destination import (
    BadDestination,
    Destination,
    HostPattern,
    address_verdict,
    normalise_host,
    parse_authority,
)

LOOPBACKS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7F.1",
    "0177.0.0.1",
    "017700000001",
    "0x7f.0.0.0x1",
    "127.0.0.1.",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "１２７.0.0.1",  # noqa: RUF001
    "127。0。0。1",
]


@pytest.mark.parametrize("text", LOOPBACKS)
def test_threat_19_every_spelling_of_an_address_is_that_address(text: str) -> None:
    assert normalise_host(text) == ("127.0.0.1", True)


@pytest.mark.parametrize(
    "text",
    [
        "256.1.1.1",
        "1.2.3.4.5",
        "0x100000000",
        "4294967296",
        "08.1.1.1",
        "1.2.3.0xfff",
        "foo.0x1g.1",
        "1_0.0.0.1",
    ],
)
def test_what_ends_in_a_number_is_an_address_or_nothing(text: str) -> None:
    with pytest.raises(BadDestination):
        normalise_host(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("API.GitHub.com", "api.github.com"),
        ("api.github.com.", "api.github.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("ａｐｉ.github.com", "api.github.com"),  # noqa: RUF001
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("under_score.example", "under_score.example"),
    ],
)
def test_threat_07_names_are_normalised(text: str, host: str) -> None:
    assert normalise_host(text) == (host, False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a.b..",
        "user@api.github.com",
        "api.github.com@evil.test",
        "a b",
        "a\tb",
        "a\0b",
        "a%2eb",
        "a/b",
        "a\\b",
        "a?b",
        "a#b",
        "a:b",
        "*.github.com",
        "x" * 64 + ".test",
        "a." * 127 + "ab",
        "a\r\nb",
        "[::1",
        "::1]",
        "[fe80::1%eth0]",
        "fe80::1%1",
        "[v1.x]",
        "api.github.com\uff20evil.test",
    ],
)
def test_threat_07_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(BadDestination):
        normalise_host(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Example.test:8443", Destination("example.test", 8443)),
        ("[2001:DB8::0:1]:443", Destination("2001:db8::1", 443, True)),
        ("0x7f.1:80", Destination("127.0.0.1", 80, True)),
    ],
)
def test_authorities(text: str, expected: Destination) -> None:
    assert parse_authority(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a.test",
        "a.test:",
        "a.test:0",
        "a.test:65536",
        "a.test:-1",
        "a.test:+1",
        "a.test:1:2",
        "a.test:\u0664",
        "::1:443",
        "[::1]443",
        "a@b:1",
    ],
)
def test_bad_authorities(text: str) -> None:
    with pytest.raises(BadDestination):
        parse_authority(text)


def test_an_authority_without_a_port_takes_the_default() -> None:
    assert parse_authority("a.test", 443) == Destination("a.test", 443)


@given(st.text(max_size=80))
def test_normalising_never_fails_otherwise_and_is_idempotent(text: str) -> None:
    try:
        host, is_ip = normalise_host(text)
    except BadDestination:
        return
    assert host == host.lower()
    assert host.isascii()
    assert not set(host) & set("@%/ \t\r\n\0[]")
    assert normalise_host(host) == (host, is_ip)
    if is_ip:
        ipaddress.ip_address(host)


@given(st.ip_addresses(v=4), st.randoms())
def test_threat_19_any_mixture_of_bases_gives_the_same_address(
    address: ipaddress.IPv4Address, random
) -> None:  # type: ignore[no-untyped-def]
    parts = list(address.packed)
    keep = random.randint(1, 4)
    tail = int.from_bytes(bytes(parts[keep - 1 :]), "big")
    spelled = ".".join(random.choice(["{}", "0x{:x}", "0{:o}"]).format(n) for n in [*parts[: keep - 1], tail])
    assert normalise_host(spelled) == (str(address), True)


# -- patterns --


@pytest.mark.parametrize(
    "host",
    [
        "api.github.com.evil.test",
        "evilapi.github.com",
        "api.github.com-evil.test",
        "api-github.com",
        "github.com",
        "xapi.github.com",
    ],
)
def test_threat_07_look_alikes_do_not_match(host: str) -> None:
    pattern = HostPattern.parse("api.github.com")
    assert pattern.matches_host(Destination("api.github.com", 443))
    assert not pattern.matches_host(Destination(host, 443))


def test_a_star_is_one_or_more_labels_and_never_none() -> None:
    pattern = HostPattern.parse("*.openai.com")
    assert pattern.matches_host(Destination("eu.openai.com", 443))
    assert pattern.matches_host(Destination("a.b.openai.com", 443))
    assert not pattern.matches_host(Destination("openai.com", 443))
    assert not pattern.matches_host(Destination("xopenai.com", 443))
    assert not pattern.matches_host(Destination(".openai.com", 443))


def test_patterns_never_match_addresses() -> None:
    assert not HostPattern("127.0.0.1", False).matches_host(Destination("127.0.0.1", 443, True))
    with pytest.raises(BadDestination):
        HostPattern.parse("10.0.0.1")


def test_the_port_of_a_pattern() -> None:
    pattern = HostPattern.parse("a.test:8443", (443, 80))
    assert pattern.matches(Destination("a.test", 8443))
    assert not pattern.matches(Destination("a.test", 443))
    assert HostPattern.parse("a.test", (443, 80)).matches(Destination("a.test", 80))
    assert HostPattern.parse("a.test").matches(Destination("a.test", 9))


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "a.*.b", "**.a", "a.test:x", "http://a.test", "a.test/x", "*.10.0.0.1"]
)
def test_bad_patterns(text: str) -> None:
    with pytest.raises(BadDestination):
        HostPattern.parse(text)


# -- addresses --


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "192.88.99.1",
        "168.63.129.16",
        "::",
        "::1",
        "::127.0.0.1",
        "::10.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "fd00:ec2::254",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001:0:7f00:1::",
        "2001:10::1",
        "fe80::5efe:10.0.0.1",
        "2606:4700::5efe:10.0.0.1",
        "3fff::1",
    ],
)
def test_threat_19_addresses_that_are_nobody_elses(text: str) -> None:
    assert address_verdict(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    ["8.8.8.8", "1.1.1.1", "140.82.121.3", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"],
)
def test_public_addresses(text: str) -> None:
    assert address_verdict(ipaddress.ip_address(text)) == ""


@given(st.ip_addresses(v=4))
def test_threat_17_embedded_addresses_have_the_verdict_of_the_address_inside(
    address: ipaddress.IPv4Address,
) -> None:
    denied = bool(address_verdict(address))
    number = int(address)
    for wrapped in ((0xFFFF << 32) | number, (0x0064FF9B << 96) | number):
        assert bool(address_verdict(ipaddress.IPv6Address(wrapped))) == denied
