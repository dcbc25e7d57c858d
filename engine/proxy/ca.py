"""The certificate authority at `~/.moat/proxy/ca`: made once, P-256, ten years, its key never leaves.

Leaves are signed in memory for the host a client asks for; they share one key per process. Imports no
mitmproxy, so `moat doctor` can look at the CA cheaply.
"""

from __future__ import annotations

import datetime
import secrets
from contextlib import AbstractContextManager
from ipaddress import ip_address
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine.errors import ProxyError
from engine.file_lock import file_lock
from engine.home import Home
from engine.proxy.trust import Trust, TrustFiles, collect, write

_VALIDITY = datetime.timedelta(days=3650)
_LEAF_VALIDITY = datetime.timedelta(days=90)
_BACKDATE = datetime.timedelta(days=1)  # clocks inside containers and VMs lag
_LOCK_TIMEOUT = 15.0  # seconds; making a CA takes milliseconds

_START_ANEW = "Move {0} away; the next run makes a new CA, and containers get it with their next start."


class Leaf(msgspec.Struct, frozen=True):
    """A server certificate for one host and the key it was made for."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"Leaf({self.certificate.subject.rfc4514_string()!r})"


class CertificateAuthority:
    """`certificate` is what containers trust. The key is reachable through `issue` alone."""

    def __init__(
        self, directory: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, home: Home
    ) -> None:
        self.directory = directory
        self.certificate = certificate
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
        self._key = key
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._home = home

    def __repr__(self) -> str:
        return f"CertificateAuthority({self.name!r}, expires {self.expires:%Y-%m-%d})"

    @property
    def name(self) -> str:
        """E.g. "Moat CA 3f9a1c2b"."""
        return str(self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    @property
    def expires(self) -> datetime.datetime:
        return self.certificate.not_valid_after_utc

    @classmethod
    def load_or_create(cls, home: Home) -> CertificateAuthority:
        """The CA of this installation. Two first runs at once agree on one: whoever has the lock makes it.

        Raises ProxyError when what is there is damaged, mismatched or expired; HomeError for symlinks and
        foreign owners. Nothing that exists is ever overwritten but a key without its certificate.
        """
        found = cls.load(home)
        if found is not None:
            return found
        home.ensure_dir(home.ca)
        with _locked(home):
            return cls.load(home) or cls._create(home)

    @classmethod
    def load(cls, home: Home) -> CertificateAuthority | None:
        """None when there is none yet. Raises as load_or_create."""
        try:
            pem = home.read(home.ca / "ca.crt")
        except FileNotFoundError:
            return None  # the certificate is written last, so a key alone is an unfinished beginning
        try:
            key_pem = home.read(home.ca / "ca.key")
        except FileNotFoundError:
            raise _damaged(home, "its key, ca.key, is missing") from None
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            key = serialization.load_pem_private_key(key_pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise _damaged(home, "ca.crt or ca.key cannot be read as PEM") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise _damaged(home, "ca.key is not the key of ca.crt")
        now = datetime.datetime.now(datetime.UTC)
        if certificate.not_valid_after_utc <= now:
            raise ProxyError(
                f"Moat's certificate authority expired on {certificate.not_valid_after_utc:%Y-%m-%d}",
                remedy=_START_ANEW.format(home.ca),
            )
        if certificate.not_valid_before_utc > now:
            raise ProxyError(
                "Moat's certificate authority is not valid before "
                f"{certificate.not_valid_before_utc:%Y-%m-%d}, which is in the future",
                remedy="Set this machine's clock.",
            )
        return cls(home.ca, certificate, key, home)

    @classmethod
    def _create(cls, home: Home) -> CertificateAuthority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([
            x509.NameAttribute(NameOID.COMMON_NAME, f"Moat CA {secrets.token_hex(4)}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Moat"),
        ])  # fmt: skip
        start = datetime.datetime.now(datetime.UTC) - _BACKDATE
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + _VALIDITY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        home.write(
            home.ca / "ca.key",
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
        home.write(home.ca / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM))
        return cls(home.ca, certificate, key, home)

    def issue(self, *hosts: str) -> Leaf:
        """A leaf for normalised hosts (names or IPs), valid for 90 days. About 0.1 ms."""
        names: list[x509.GeneralName] = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        start = datetime.datetime.now(datetime.UTC) - _BACKDATE
        common_name = hosts[0] if len(hosts[0]) <= 64 else "moat"
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self.certificate.subject)
            .public_key(self._leaf_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(start, self.certificate.not_valid_before_utc))
            .not_valid_after(min(start + _LEAF_VALIDITY, self.expires))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        return Leaf(certificate, self._leaf_key)

    def trust(self) -> Trust:
        """What a container needs in order to trust this CA, as bytes. Public certificates only.

        About 1 ms, and 10 ms when the Java store must be made anew.
        """
        return collect(self._home, self.certificate, self.certificate_pem)

    def trust_files(self, directory: Path, *, mode: int = 0o644) -> TrustFiles:
        """`trust()` as files in `directory`, which exists; `mode` lets a container's user read them."""
        return write(self.trust(), directory, mode)


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _damaged(home: Home, why: str) -> ProxyError:
    return ProxyError(
        f"Moat's certificate authority in {home.ca} cannot be used: {why}",
        remedy=_START_ANEW.format(home.ca),
    )


def _locked(home: Home) -> AbstractContextManager[None]:
    path = home.ca / "lock"
    late = ProxyError(
        f"another process has held {path} for {_LOCK_TIMEOUT:.0f} s",
        remedy="End the Moat process that hangs, and try again.",
    )
    return file_lock(home, path, _LOCK_TIMEOUT, late)
