"""Public keys as SSH writes them: their fingerprints, and whether one of them made a signature. Pure.

A key blob begins with its type's name (RFC 4253 §6.6; RFC 5656 for ECDSA; RFC 8709 for Ed25519).
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from engine.ssh_agent.wire import Malformed, Reader

_RSA_HASHES: dict[str, hashes.HashAlgorithm] = {
    "rsa-sha2-256": hashes.SHA256(),
    "rsa-sha2-512": hashes.SHA512(),
}
_CURVE_HASHES: dict[str, hashes.HashAlgorithm] = {
    "ecdsa-sha2-nistp256": hashes.SHA256(),
    "ecdsa-sha2-nistp384": hashes.SHA384(),
    "ecdsa-sha2-nistp521": hashes.SHA512(),
}
MIN_RSA_BITS = 2048


def fingerprint(blob: bytes) -> str:
    """`SHA256:` and unpadded base64, as ssh-keygen -l prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def key_type(blob: bytes) -> str:
    """Raises Malformed for what is no key blob."""
    return Reader(blob).text()


def signed_by(blob: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key in `blob` made `signature` (an SSH signature blob) over `message`.

    False for what is malformed, for SHA-1 (`ssh-rsa`), short RSA keys, certificates, and key types that
    are not checked here (hardware-backed host keys do not exist).
    """
    try:
        reader = Reader(signature)
        algorithm, raw = reader.text(), reader.string()
        reader.end()
        name = key_type(blob)
        key = serialization.load_ssh_public_key(f"{name} {base64.b64encode(blob).decode()}".encode())
        match key:
            case ed25519.Ed25519PublicKey() if algorithm == name:
                key.verify(raw, message)
            case rsa.RSAPublicKey() if algorithm in _RSA_HASHES and key.key_size >= MIN_RSA_BITS:
                key.verify(raw, message, padding.PKCS1v15(), _RSA_HASHES[algorithm])
            case ec.EllipticCurvePublicKey() if algorithm == name and name in _CURVE_HASHES:
                parts = Reader(raw)
                r, s = parts.string(), parts.string()
                parts.end()
                der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
                key.verify(der, message, ec.ECDSA(_CURVE_HASHES[name]))
            case _:
                return False
    except (Malformed, InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True
