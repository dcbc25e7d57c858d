"""From mitmproxy's request to what the policy judges and the log shows."""

from __future__ import annotations

from mitmproxy import http

from engine.proxy.decision import RequestHead
from engine.proxy.destination import Destination
from engine.proxy.entry import Entry, named_by_host
from engine.proxy.http1 import HeadedRequest


def head_of(
    request: http.Request, entry: Entry, tunnel: Destination | None, *, tls: bool, sni: str | None
) -> RequestHead:
    """tunnel: where the connection leads, if that is settled; at the entry for HTTP each request says it."""
    fields = tuple(request.headers.fields)
    hosts = tuple(value.decode("latin-1") for name, value in fields if name.lower() == b"host")
    wire = request.head if isinstance(request, HeadedRequest) else None
    target = wire.target if wire else None
    if wire and wire.version == "HTTP/1.0" and target and not hosts:
        hosts = (target[1],)  # HTTP/1.0 has no Host; its absolute URL says it
    return RequestHead(
        method=request.method,
        path=request.data.path.decode("latin-1"),
        headers=fields,
        hosts=hosts,
        # HTTP/2 may say it as a Host field instead (RFC 9113 §8.3.1); "" and two of them are refused
        authority=None if wire else request.data.authority.decode("latin-1") or "".join(hosts),
        connect=named_by_host(hosts) if entry is Entry.HTTP else tunnel,
        tls=tls,
        sni=sni,
        target=target,
    )


def url_of(head: RequestHead) -> str:
    """For the log: the place it would have gone to, not what the Host header says."""
    if head.connect is not None:
        scheme, port = ("https", 443) if head.tls else ("http", 80)
        slash = "" if head.path[:1] in ("/", "*", "") else "/"  # else it reads as part of the host
        return f"{scheme}://{head.connect.authority(port)}{slash}{head.path}"
    return f"{head.target[0]}://{head.target[1]}{head.path}" if head.target else head.path
