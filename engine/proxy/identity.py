"""The one place that a request can be meant for: everything the client says about it must agree. Pure."""

from __future__ import annotations

import re

from engine.proxy.decision import RequestHead, deny
from engine.proxy.destination import BadDestination, Destination, normalise_host, parse_authority

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_PATH = re.compile(r"(?:/[^\x00-\x20\x7f]*|\*)\Z")


def destination_of(head: RequestHead) -> Destination:
    """The one place this request can be meant for; raises when what the client said does not agree."""
    if not _TOKEN.match(head.method) or head.method.upper() == "CONNECT":
        raise deny(400, "malformed", "The request's method is not one that can be sent on.")
    if head.connect is None and head.target is None:
        raise deny(
            400,
            "not-a-server",
            "This is Moat's proxy, not a web server.",
            "Use it as HTTP_PROXY and HTTPS_PROXY.",
        )
    if not _PATH.match(head.path):
        raise deny(400, "malformed", "The request's path holds characters that no path has.")
    destination = head.connect
    if head.target is not None:
        scheme, authority = head.target
        if destination is None and scheme != "http":
            raise deny(
                403,
                "not-tunnelled",
                f"An absolute {scheme[:12]!r} URL was sent to the proxy itself.",
                "Use CONNECT for everything but http://.",
            )
        target = _parsed(authority, 443 if scheme == "https" else 80)
        if destination is None:
            destination = target
        elif target != destination or scheme != ("https" if head.tls else "http"):
            raise deny(
                403,
                "host-mismatch",
                f"The request line names another place than the tunnel, which leads to {destination}.",
                "Send the request to the host that it is for.",
                destination,
            )
    assert destination is not None
    if head.tls:
        _check_sni(head.sni, destination)
    _check_hosts(head, destination)
    return destination


def _check_sni(sni: str | None, destination: Destination) -> None:
    if sni is None:
        if destination.ip:
            return  # RFC 6066: an IP address is never sent as SNI
        raise deny(
            403,
            "sni-missing",
            f"The TLS connection to {destination} did not say which host it is for (no SNI).",
            "Use a client that sends SNI.",
            destination,
        )
    try:
        name, _ = normalise_host(sni)
    except BadDestination:
        name = ""
    if name != destination.host:
        raise deny(
            403,
            "sni-mismatch",
            f"The tunnel leads to {destination}, but TLS inside it was begun for another host.",
            "Send the request to the host that it is for.",
            destination,
        )


def _check_hosts(head: RequestHead, destination: Destination) -> None:
    if len(head.hosts) > 1:
        raise deny(400, "malformed", "The request has more than one Host header.", "", destination)
    said = [head.authority] if head.authority is not None else []
    said += head.hosts
    if not said:
        raise deny(400, "malformed", "The request does not say which host it is for.", "", destination)
    for text in said:
        named = _parsed(text, destination.port)  # a Host without a port claims none
        if named != destination:
            raise deny(
                403,
                "host-mismatch",
                f"The request names another host than the connection, which leads to {destination}.",
                "Send the request to the host that it is for.",
                destination,
            )


def _parsed(authority: str, default_port: int) -> Destination:
    try:
        return parse_authority(authority, default_port)
    except BadDestination as error:
        raise deny(400, "malformed", f"The request names {error}.") from error
