"""Who may speak to a run's own Docker daemon: certificates made for one run, in memory.

The daemon listens where other containers of the run, and with `permissive` everybody on this machine, can
connect, and whoever commands it is all but root. So it takes the agent alone: TLS with a certificate on both
ends, of an authority whose key is forgotten at once.
"""

from __future__ import annotations

import datetime

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = datetime.timedelta(days=365)  # longer than any run; what ends them is the run's end
_SLACK = datetime.timedelta(days=1)  # for a container whose clock is not this machine's


class DockerKeys(msgspec.Struct, frozen=True):
    """All PEM."""

    authority: bytes
    server_certificate: bytes
    server_key: bytes
    client_certificate: bytes
    client_key: bytes

    def __repr__(self) -> str:
        return "DockerKeys()"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return []


def make_docker_keys(server: str) -> DockerKeys:
    """server: the host name that the agent reaches the daemon by."""
    authority = ec.generate_private_key(ec.SECP256R1())
    name = _name("Moat, one run's Docker daemon")
    root = (
        _begun(name, name, authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority, hashes.SHA256())
    )

    def issue(common_name: str, usage: x509.ObjectIdentifier) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            _begun(_name(common_name), name, key)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(authority, hashes.SHA256())
        )
        return _pem(made), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    return DockerKeys(
        _pem(root),
        *issue(server, ExtendedKeyUsageOID.SERVER_AUTH),
        *issue("agent", ExtendedKeyUsageOID.CLIENT_AUTH),
    )


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + _LIFE)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
