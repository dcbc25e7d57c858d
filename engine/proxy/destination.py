"""Where a request wants to go: one spelling per host, one verdict per address. Pure.

A host arrives in many spellings (upper case, a trailing dot, IDN, 127.0.0.1 as 2130706433 or 0x7f.1).
It is normalised here once; policy, dialling, the upstream's certificate check and the log all use the
result, so what is judged is what is sent. What has no single sound reading is refused, never guessed.
"""

from __future__ import annotations

import encodings.idna
import ipaddress
import re

import msgspec

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL = re.compile(r"[a-z0-9_-]{1,63}\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_MAX_NAME = 253


class BadDestination(ValueError):
    """Text that does not name one host. The message is safe to show: it quotes nothing from the client."""


class Destination(msgspec.Struct, frozen=True):
    """A normalised host and port. `host` is a lower-case A-label name or a canonical IP without brackets."""

    host: str
    port: int
    ip: bool = False

    def authority(self, default_port: int) -> str:
        """As it stands in a Host header: IPv6 in brackets, the port only when it is not the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == default_port else f"{host}:{self.port}"

    def __str__(self) -> str:
        return self.authority(0)


def normalise_host(text: str) -> tuple[str, bool]:
    """`(host, is_ip)` for a bare host; IPv6 may stand in brackets. Raises BadDestination."""
    if text.startswith("["):
        if not text.endswith("]"):
            raise BadDestination("an IPv6 address without its closing bracket")
        return _canonical_v6(text[1:-1]), True
    if ":" in text:
        return _canonical_v6(text), True
    return _name_or_v4(text)


def parse_authority(text: str, default_port: int | None = None) -> Destination:
    """`host[:port]` as in CONNECT, Host and :authority. Without a default the port must be there."""
    if text.startswith("["):
        inner, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise BadDestination("an IPv6 address without its closing bracket")
        host, is_ip = _canonical_v6(inner), True
        port_text = rest[1:] if rest else None
    else:
        name, colon, after = text.partition(":")
        host, is_ip = _name_or_v4(name)
        port_text = after if colon else None
    if port_text is None:
        if default_port is None:
            raise BadDestination("a destination without a port")
        return Destination(host, default_port, is_ip)
    return Destination(host, _port(port_text), is_ip)


def _port(text: str) -> int:
    if not _PORT.match(text) or not 0 < int(text) < 65536:
        raise BadDestination("a port that is not a number from 1 to 65535")
    return int(text)


def _name_or_v4(text: str) -> tuple[str, bool]:
    if not text.isascii():
        text = _to_ascii(text)
    name = text.lower()
    if name.endswith("."):
        name = name[:-1]
    if not name or len(name) > _MAX_NAME:
        raise BadDestination("an empty host" if not name else "a host longer than 253 characters")
    labels = name.split(".")
    for label in labels:
        if not _LABEL.match(label):
            # covers user@host, spaces, controls, percent escapes, slashes and empty labels alike
            raise BadDestination("a host with characters or labels that no host name has")
    if _NUMBER.match(labels[-1]):
        return _canonical_v4(labels), True
    return name, False


def _to_ascii(text: str) -> str:
    """IDNA A-labels. Nameprep folds full-width letters, digits and dots: the result is judged afterwards."""
    try:
        labels = re.split("[.\u3002\uff0e\uff61]", text)  # RFC 3490 §3.1
        return ".".join(encodings.idna.ToASCII(part).decode("ascii") if part else "" for part in labels)
    except UnicodeError as error:
        raise BadDestination("a host that is not a valid internationalised name") from error


def unicode_host(host: str) -> str:
    """How a name in A-labels reads; empty when it has none, so that it reads as it is written."""
    return ".".join(map(_to_unicode, host.split("."))) if "xn--" in host else ""


def _to_unicode(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        # without IDNA's checks: what it would refuse is what a person should see
        return label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label


def _canonical_v4(labels: list[str]) -> str:
    """inet_aton's spellings: 1 to 4 parts, each decimal, 0octal or 0xhex, the last one filling the rest.

    A name whose last label is a number is an address or nothing (WHATWG URL, "ends in a number").
    """
    if len(labels) > 4 or not all(_NUMBER.match(label) for label in labels):
        raise BadDestination("a number that is not an IPv4 address")
    parts: list[int] = []
    for label in labels:
        try:
            if label.startswith("0x"):
                parts.append(int(label[2:] or "0", 16))
            elif label.startswith("0") and len(label) > 1:
                parts.append(int(label, 8))
            else:
                parts.append(int(label, 10))
        except ValueError as error:
            raise BadDestination("a number that is not an IPv4 address") from error
    if any(part > 255 for part in parts[:-1]) or parts[-1] >= 256 ** (5 - len(parts)):
        raise BadDestination("a number that is not an IPv4 address")
    value = parts[-1]
    for place, part in enumerate(parts[:-1]):
        value += part << (8 * (3 - place))
    return str(ipaddress.IPv4Address(value))


def _canonical_v6(text: str) -> str:
    """Canonical text; a v4-mapped address becomes that IPv4 address. Zones (`%eth0`) are refused."""
    if "%" in text:
        raise BadDestination("an IPv6 address with a zone")
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise BadDestination("an address that is not IPv6") from error
    return str(address.ipv4_mapped or address)


class HostPattern(msgspec.Struct, frozen=True):
    """`host[:port]` or `*.suffix[:port]`, where the star stands for one or more whole labels.

    Never matches an IP address. `ports` empty means any.
    """

    suffix: str  # "api.github.com", or ".openai.com" for *.openai.com
    wildcard: bool
    ports: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str, ports: tuple[int, ...] = ()) -> HostPattern:
        """`ports` is what an entry without a port stands for. Raises BadDestination."""
        host, colon, port = text.strip().partition(":")
        wildcard = host.startswith("*.")
        name, is_ip = _name_or_v4(host[2:] if wildcard else host)
        if is_ip:
            raise BadDestination("an IP address, where a host name is needed")
        return cls("." + name if wildcard else name, wildcard, (_port(port),) if colon else ports)

    def matches_host(self, destination: Destination) -> bool:
        if destination.ip:
            return False
        if self.wildcard:
            return destination.host.endswith(self.suffix) and len(destination.host) > len(self.suffix)
        return destination.host == self.suffix

    def matches(self, destination: Destination) -> bool:
        return (not self.ports or destination.port in self.ports) and self.matches_host(destination)


# What is_global leaves open (RFC 6890 registries as shipped with Python) and a proxy must not reach.
_DENIED = (
    ipaddress.ip_network("100.64.0.0/10"),  # carrier-grade NAT
    ipaddress.ip_network("192.0.0.0/24"),  # protocol assignments; 192.0.0.192 is a cloud's metadata service
    ipaddress.ip_network("192.88.99.0/24"),  # 6to4 relays
    ipaddress.ip_network(
        "168.63.129.16/32"
    ),  # Azure's host agent: public by number, the machine's by meaning
    ipaddress.ip_network("3fff::/20"),  # documentation (RFC 9637), younger than some Pythons
)
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")  # RFC 4291 §2.4: all that is handed out as global unicast
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ISATAP = 0x00005EFE


def address_verdict(address: Address) -> str:
    """Empty when the address is globally routable; otherwise what it is, in words for a refusal.

    An address that carries an IPv4 address inside (v4-mapped, 6to4, Teredo, NAT64, ISATAP) is judged by it.
    """
    for inner in _embedded(address):
        if verdict := address_verdict(inner):
            return verdict
    if address.is_loopback:
        return "a loopback address"
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_link_local:
        return "a link-local address (cloud metadata services live there)"
    if address.is_multicast:
        return "a multicast address"
    if any(address.version == net.version and address in net for net in _DENIED):
        return "an address reserved for networks' own use"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return ""  # judged above by what it carries
    if address in _NAT64:
        return ""
    if address.version == 6 and address not in _GLOBAL_V6:
        return "a private or reserved address"
    if address.is_private or address.is_reserved or not address.is_global:
        return "a private or reserved address"
    return ""


def _embedded(address: Address) -> list[ipaddress.IPv4Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[ipaddress.IPv4Address] = []
    if address.ipv4_mapped:
        found.append(address.ipv4_mapped)
    if address.sixtofour:
        found.append(address.sixtofour)
    if address.teredo:
        found.extend(address.teredo)
    value = int(address)
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(value & 0xFFFFFFFF))
    if (value >> 32) & 0xFDFFFFFF == _ISATAP:
        found.append(ipaddress.IPv4Address(value & 0xFFFFFFFF))
    return found
