"""Certificates that containers trust, and those that Moat trusts for upstreams.

Node takes the CA alone (NODE_EXTRA_CA_CERTS adds to its own); curl, git, Python, Go, cargo and AWS
replace their set by the file they are given, so they need the full bundle; Java needs a PKCS #12 store.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import certifi
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.utils import CryptographyDeprecationWarning

from engine.home import Home

TRUSTSTORE_PASSWORD = "changeit"  # Java's own default; the store holds public certificates only

# Where Debian, Fedora, openSUSE, RHEL, Alpine and macOS keep their bundle (Go: crypto/x509/root_linux.go)
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class Trust(msgspec.Struct, frozen=True):
    """certificate: the CA alone, PEM. bundle: public roots and the CA, PEM. java_store: those as PKCS #12."""

    certificate: bytes
    bundle: bytes
    java_store: bytes


class TrustFiles(msgspec.Struct, frozen=True):
    ca: Path
    bundle: Path
    truststore: Path


def system_bundle() -> Path:
    """This machine's own bundle (SSL_CERT_FILE first), or certifi's where there is none."""
    for candidate in (os.environ.get("SSL_CERT_FILE", ""), *_SYSTEM_BUNDLES):
        if candidate and os.path.isfile(candidate) and os.path.getsize(candidate):
            return Path(candidate)
    return Path(certifi.where())


def collect(home: Home, certificate: x509.Certificate, pem: bytes) -> Trust:
    """The bundle is a plain concatenation; the Java store takes some 10 ms to make, so it is kept beside
    the CA and made again when the CA or the bundle is newer.
    """
    source = system_bundle()
    roots = source.read_bytes()
    return Trust(pem, roots.rstrip() + b"\n" + pem, _truststore(home, certificate, source, roots))


def write(trust: Trust, directory: Path, mode: int) -> TrustFiles:
    """`ca.crt`, `bundle.crt` and `truststore.p12` in `directory`."""
    files = TrustFiles(directory / "ca.crt", directory / "bundle.crt", directory / "truststore.p12")
    _write(files.ca, trust.certificate, mode)
    _write(files.bundle, trust.bundle, mode)
    _write(files.truststore, trust.java_store, mode)
    return files


def _truststore(home: Home, certificate: x509.Certificate, source: Path, roots: bytes) -> bytes:
    cached = home.ca / "truststore.p12"
    try:
        made = os.stat(cached).st_mtime_ns
        if made > os.stat(home.ca / "ca.crt").st_mtime_ns and made > os.stat(source).st_mtime_ns:
            return home.read(cached)
    except FileNotFoundError:
        pass
    with warnings.catch_warnings():
        # some public roots have serial numbers that RFC 5280 no longer allows
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        trusted = [*x509.load_pem_x509_certificates(roots), certificate]
    entries = [pkcs12.PKCS12Certificate(cert, b"moat-%d" % number) for number, cert in enumerate(trusted)]
    store = pkcs12.serialize_java_truststore(
        entries, serialization.BestAvailableEncryption(TRUSTSTORE_PASSWORD.encode())
    )
    home.write(cached, store)
    return store


def _write(path: Path, data: bytes, mode: int) -> None:
    """A fresh file each time: a symlink or a file in the way is not followed."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)
        file.write(data)
