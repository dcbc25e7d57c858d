"""TLS contexts of the ssl module: one per leaf towards agents, and the one that verifies upstreams.

The same rules as in engine/proxy/tls.py, which makes them for mitmproxy's layers with pyOpenSSL.
"""

from __future__ import annotations

import os
import ssl
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from engine.proxy.ca import CertificateAuthority, Leaf
from engine.proxy.tls import CIPHERS
from engine.proxy.trust import system_bundle

_MAX_CONTEXTS = 1000  # leaves kept; the oldest use goes first


class Contexts:
    """One per run."""

    def __init__(self, ca: CertificateAuthority, upstream_ca: Path | None) -> None:
        """The certificate files were read before, by engine/proxy/tls.py."""
        self._ca = ca
        self._leaves: OrderedDict[tuple[str, ...], ssl.SSLContext] = OrderedDict()
        self.upstream = _context(ssl.PROTOCOL_TLS_CLIENT)
        self.upstream.hostname_checks_common_name = False
        self.upstream.load_verify_locations(system_bundle())
        if upstream_ca is not None:
            self.upstream.load_verify_locations(upstream_ca)

    def leaf(self, hosts: Sequence[str]) -> ssl.SSLContext:
        """Towards the agent, with a certificate for `hosts`."""
        key = tuple(dict.fromkeys(hosts))
        context = self._leaves.pop(key, None) or self._make(key)
        self._leaves[key] = context
        if len(self._leaves) > _MAX_CONTEXTS:
            self._leaves.popitem(last=False)
        return context

    def _make(self, hosts: tuple[str, ...]) -> ssl.SSLContext:
        context = _context(ssl.PROTOCOL_TLS_SERVER)
        _load(context, self._ca.issue(*hosts))
        return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(CIPHERS.decode("ascii"))
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, leaf: Leaf) -> None:
    """The ssl module reads certificates and keys from files only. A pipe is one that never is on a disk."""
    certificate = leaf.certificate.public_bytes(serialization.Encoding.PEM)
    key = leaf.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain_end, key_end = _pipe(certificate), _pipe(key)
    try:
        context.load_cert_chain(f"/dev/fd/{chain_end}", f"/dev/fd/{key_end}")
    finally:
        os.close(chain_end)
        os.close(key_end)


def _pipe(data: bytes) -> int:
    """The reading end of a pipe that holds `data`, which is smaller than any pipe."""
    reading, writing = os.pipe()
    try:
        os.write(writing, data)
    finally:
        os.close(writing)
    return reading
