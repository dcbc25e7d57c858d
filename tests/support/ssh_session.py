"""An SSH session as a server and a client make it, without either: keys, bindings and logins to be signed."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from engine.ssh_agent.wire import string, uint32

type PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

HOSTBOUND = "publickey-hostbound-v00@openssh.com"


def blob_of(key: PrivateKey) -> bytes:
    text = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return base64.b64decode(text.split()[1])


def sign(key: PrivateKey, message: bytes, algorithm: str = "") -> bytes:
    """An SSH signature blob. algorithm: for RSA keys."""
    match key:
        case ed25519.Ed25519PrivateKey():
            return string(b"ssh-ed25519") + string(key.sign(message))
        case rsa.RSAPrivateKey():
            kind = {
                "rsa-sha2-256": hashes.SHA256(),
                "rsa-sha2-512": hashes.SHA512(),
                "ssh-rsa": hashes.SHA1(),
            }
            raw = key.sign(message, padding.PKCS1v15(), kind[algorithm])
            return string(algorithm.encode()) + string(raw)
        case _:
            name = f"ecdsa-sha2-nistp{key.curve.key_size}"
            kinds = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
            r, s = decode_dss_signature(key.sign(message, ec.ECDSA(kinds[key.curve.key_size])))
            return string(name.encode()) + string(string(_mpint(r)) + string(_mpint(s)))


def _mpint(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


@dataclass
class Session:
    """One connection of a client to the server with `host_key`."""

    host_key: PrivateKey
    session_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def bind(self, *, forwarding: bool = False, signature: bytes | None = None, algorithm: str = "") -> bytes:
        """The client's session-bind message."""
        if signature is None:
            signature = sign(self.host_key, self.session_id, algorithm)
        return (
            b"\x1b"
            + string(b"session-bind@openssh.com")
            + string(blob_of(self.host_key))
            + string(self.session_id)
            + string(signature)
            + bytes([forwarding])
        )

    def login(
        self, user_key: bytes, *, hostbound: bool = True, session_id: bytes = b"", host: bytes = b""
    ) -> bytes:
        """What has to be signed to log in with the key blob `user_key`."""
        method = HOSTBOUND if hostbound else "publickey"
        payload = (
            string(session_id or self.session_id)
            + b"\x32"
            + string(b"git")
            + string(b"ssh-connection")
            + string(method.encode())
            + b"\x01"
            + string(b"ssh-ed25519")
            + string(user_key)
        )
        return payload + (string(host or blob_of(self.host_key)) if hostbound else b"")


def sign_request(user_key: bytes, payload: bytes, flags: int = 0) -> bytes:
    return b"\x0d" + string(user_key) + string(payload) + uint32(flags)
