"""The TLS-intercepting proxy that attaches credentials: the security core.

    destination  policy  inject  mask  redact  http1_head    pure: what decides and what may be written down
    admission  exchange  answers  capture  dial              one request's way, without mitmproxy
    http1  stream  tls  upstream  connection                 mitmproxy's layers, guarded
    server  spec  recorder  ca  trust                        what a run's supervisor uses

Nothing here imports mitmproxy until `preload` or `ProxyServer.start`.
"""

from engine.proxy.ca import CertificateAuthority
from engine.proxy.dial import ConnectTo, parse_connect_to
from engine.proxy.policy import Decision, Policy, RequestHead, decide
from engine.proxy.recorder import INJECT, INJECT_REPLACED, Recorder
from engine.proxy.server import ProxyServer, preload
from engine.proxy.spec import PERMISSIVE, STRICT, HostRule, Injection, ProxySpec
from engine.proxy.trust import TRUSTSTORE_PASSWORD, Trust, TrustFiles, system_bundle

__all__ = [
    "INJECT",
    "INJECT_REPLACED",
    "PERMISSIVE",
    "STRICT",
    "TRUSTSTORE_PASSWORD",
    "CertificateAuthority",
    "ConnectTo",
    "Decision",
    "HostRule",
    "Injection",
    "Policy",
    "ProxyServer",
    "ProxySpec",
    "Recorder",
    "RequestHead",
    "Trust",
    "TrustFiles",
    "decide",
    "parse_connect_to",
    "preload",
    "system_bundle",
]
