"""TLS on both sides, as pyOpenSSL contexts for mitmproxy's layers.

mitmproxy's own TlsConfig reads global options, can be told not to verify, and writes session keys where
SSLKEYLOGFILE points. This one can do none of that: upstreams are verified always, against their name.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from engine.errors import ProxyError
from engine.proxy.ca import CertificateAuthority
from engine.proxy.trust import system_bundle

_MAX_CONTEXTS = 1000  # leaves kept; the oldest use goes first
_H2, _H1 = b"h2", b"http/1.1"

# Mozilla's "intermediate" for TLS 1.2; 1.3's suites are not chosen here
CIPHERS = b":".join((
    b"ECDHE-ECDSA-AES128-GCM-SHA256", b"ECDHE-RSA-AES128-GCM-SHA256", b"ECDHE-ECDSA-AES256-GCM-SHA384",
    b"ECDHE-RSA-AES256-GCM-SHA384", b"ECDHE-ECDSA-CHACHA20-POLY1305", b"ECDHE-RSA-CHACHA20-POLY1305",
    b"DHE-RSA-AES128-GCM-SHA256", b"DHE-RSA-AES256-GCM-SHA384",
))  # fmt: skip


class Tls:
    """One per run: the client side's leaves, and the context that verifies upstreams."""

    def __init__(self, ca: CertificateAuthority, upstream_ca: Path | None) -> None:
        self._ca = ca
        self._leaves: OrderedDict[tuple[str, ...], SSL.Context] = OrderedDict()
        self._upstream = _context(SSL.TLS_CLIENT_METHOD)
        self._upstream.set_verify(SSL.VERIFY_PEER, None)
        try:
            self._upstream.load_verify_locations(str(system_bundle()))
        except SSL.Error:
            raise ProxyError(f"cannot read this machine's certificates in {system_bundle()}") from None
        if upstream_ca is not None:
            try:
                self._upstream.load_verify_locations(str(upstream_ca))
            except SSL.Error:
                raise ProxyError(
                    f"cannot read upstream CA certificates from {upstream_ca}",
                    remedy="--upstream-ca takes a file with one or more PEM certificates.",
                ) from None

    def to_client(self, hosts: Sequence[str]) -> SSL.Connection:
        """The server's side towards the agent, with a leaf for `hosts`."""
        key = tuple(dict.fromkeys(hosts))
        context = self._leaves.pop(key, None) or self._leaf_context(key)
        self._leaves[key] = context
        if len(self._leaves) > _MAX_CONTEXTS:
            self._leaves.popitem(last=False)
        connection = SSL.Connection(context)
        connection.set_accept_state()
        return connection

    def to_upstream(self, host: str, alpn: Sequence[bytes]) -> SSL.Connection:
        """The client's side towards `host` (normalised): fails its handshake unless the certificate
        chains to a trusted root and names `host` in a SAN.
        """
        connection = SSL.Connection(self._upstream)
        lib = SSL._lib  # type: ignore[attr-defined]
        param = lib.SSL_get0_param(connection._ssl)
        lib.X509_VERIFY_PARAM_set_hostflags(
            param, lib.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | lib.X509_CHECK_FLAG_NEVER_CHECK_SUBJECT
        )
        try:
            packed = ipaddress.ip_address(host).packed
        except ValueError:
            name = host.encode("ascii")
            connection.set_tlsext_host_name(name)
            done = lib.X509_VERIFY_PARAM_set1_host(param, name, len(name))
        else:
            done = lib.X509_VERIFY_PARAM_set1_ip(param, packed, len(packed))
        if done != 1:
            raise RuntimeError("OpenSSL did not accept the name to verify")
        if alpn:
            connection.set_alpn_protos(list(alpn))
        connection.set_connect_state()
        return connection

    def _leaf_context(self, hosts: tuple[str, ...]) -> SSL.Context:
        leaf = self._ca.issue(*hosts)
        context = _context(SSL.TLS_SERVER_METHOD)
        context.set_verify(SSL.VERIFY_NONE, None)
        context.use_certificate(leaf.certificate)
        context.use_privatekey(leaf.key)
        context.set_alpn_select_callback(_choose_alpn)
        return context


def _context(method: int) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_cipher_list(CIPHERS)
    return context


def _choose_alpn(_: SSL.Connection, offered: list[bytes]) -> Any:  # noqa: ANN401 - bytes, or a sentinel of pyOpenSSL's
    """The client's own preference among what is spoken here."""
    return next((name for name in offered if name in (_H2, _H1)), SSL.NO_OVERLAPPING_PROTOCOLS)


def upstream_alpn(client_alpn: bytes | None) -> tuple[bytes, ...]:
    """HTTP/1 stays HTTP/1; HTTP/2 may become HTTP/1 when the upstream speaks nothing newer."""
    return (_H2, _H1) if client_alpn == _H2 else (_H1,)


def client_failure(error: str) -> str:
    """Why a client's handshake failed, from OpenSSL's or mitmproxy's words for it."""
    if "unknown ca" in error or "bad certificate" in error or "certificate unknown" in error:
        return "the client does not trust Moat's CA"
    if error.startswith("connection closed"):
        return "the client closed the connection during the TLS handshake; it may not trust Moat's CA"
    return "the TLS handshake with the client failed"
