"""The TLS-intercepting proxy that attaches credentials: the security core.

    decision  destination  identity  paths  rules  policy    pure: what decides
    placeholders  inject  mask  redact  http1_head           pure: what may be sent and written down
    needles  escapes  scrub  scrub_*  codings  readings      pure: what comes back or goes astray
    replay  suggest                                          policies from what runs did
    limits                                                   pure: what a grant is narrowed to
    decoys  freeze                                           bait that leaves, and what follows from it
    approvals  holding                                       requests that wait for a person
    admission  exchange  answers  capture  dial  private     one request's way, without mitmproxy
    open_requests                                            which ones are on their way
    entry  tunnels  opaque  transparent  names               the ways in, also for clients that know no proxy
    served                                                   what the proxy itself gives to its run
    http1  http2  stream  tls  heads  upstream  scrubbing  watched  connection   mitmproxy's layers, guarded
    server  spec  recorder  ca  trust                        what a run's supervisor uses

Names load on first use: a run settles its spec before it pays for certificates. Nothing here imports
mitmproxy until `preload` or `ProxyServer.start`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import exports

if TYPE_CHECKING:
    from engine.proxy.approvals import ApprovalAnswer as ApprovalAnswer
    from engine.proxy.approvals import Waiting as Waiting
    from engine.proxy.ca import CertificateAuthority as CertificateAuthority
    from engine.proxy.decision import Decision as Decision
    from engine.proxy.decision import RequestHead as RequestHead
    from engine.proxy.destination import unicode_host as unicode_host
    from engine.proxy.dial import ConnectTo as ConnectTo
    from engine.proxy.dial import parse_connect_to as parse_connect_to
    from engine.proxy.holding import Holding as Holding
    from engine.proxy.policy import Policy as Policy
    from engine.proxy.policy import decide as decide
    from engine.proxy.private import parse_private as parse_private
    from engine.proxy.recorder import INJECT as INJECT
    from engine.proxy.recorder import INJECT_REPLACED as INJECT_REPLACED
    from engine.proxy.recorder import Recorder as Recorder
    from engine.proxy.served import Given as Given
    from engine.proxy.served import Served as Served
    from engine.proxy.server import ProxyServer as ProxyServer
    from engine.proxy.server import preload as preload
    from engine.proxy.spec import Decoy as Decoy
    from engine.proxy.spec import HostRule as HostRule
    from engine.proxy.spec import Injection as Injection
    from engine.proxy.spec import ProxySpec as ProxySpec
    from engine.proxy.transparent import TransparentSockets as TransparentSockets
    from engine.proxy.trust import TRUSTSTORE_PASSWORD as TRUSTSTORE_PASSWORD
    from engine.proxy.trust import Trust as Trust
    from engine.proxy.trust import TrustFiles as TrustFiles
    from engine.proxy.trust import system_bundle as system_bundle

_HOMES = {
    ".approvals": ("ApprovalAnswer", "Waiting"),
    ".ca": ("CertificateAuthority",),
    ".destination": ("unicode_host",),
    ".dial": ("ConnectTo", "parse_connect_to"),
    ".decision": ("Decision", "RequestHead"),
    ".holding": ("Holding",),
    ".policy": ("Policy", "decide"),
    ".private": ("parse_private",),
    ".recorder": ("INJECT", "INJECT_REPLACED", "Recorder"),
    ".served": ("Given", "Served"),
    ".server": ("ProxyServer", "preload"),
    ".spec": ("Decoy", "HostRule", "Injection", "ProxySpec"),
    ".transparent": ("TransparentSockets",),
    ".trust": ("TRUSTSTORE_PASSWORD", "Trust", "TrustFiles", "system_bundle"),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = exports(__name__, _HOMES)
