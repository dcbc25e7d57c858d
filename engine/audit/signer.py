"""Ed25519 signatures over what a log says. Where the seed is kept is the caller's business."""

from __future__ import annotations

import functools
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64


class Signer:
    """A signing key, made from its 32-byte seed. `repr` shows only the public half."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"an Ed25519 seed has {SEED_BYTES} bytes, not {len(seed)}")
        self.seed = bytes(seed)

    @classmethod
    def generate(cls) -> Signer:
        return cls(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def ephemeral(cls) -> Signer:
        """A key that is never written anywhere: OpenSSL makes it, and no Python object holds its seed.

        OpenSSL overwrites it when the last reference to the signer goes. What it cannot reach are copies
        that the kernel makes of memory: swap, a hibernated machine, a core dump.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        signer = cls.__new__(cls)
        signer._key = Ed25519PrivateKey.generate()
        return signer

    @functools.cached_property
    def public_key(self) -> bytes:
        """32 raw bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, root_hash: str) -> bytes:
        """64 bytes over the ASCII of `root_hash`, which is 64 hex digits."""
        return self.sign_bytes(root_hash.encode("ascii"))

    def sign_bytes(self, message: bytes) -> bytes:
        """64 bytes over `message`."""
        return self._key.sign(message)

    @functools.cached_property
    def _key(self) -> Ed25519PrivateKey:
        # Costs tens of milliseconds to import, and most commands never sign.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def __repr__(self) -> str:
        return f"Signer(public_key={self.public_key.hex()})"

    def __reduce__(self) -> str:
        raise TypeError("a Signer is never serialised: it would carry the seed along")


def signature_valid(public_key: bytes, root_hash: str, signature: bytes) -> bool:
    """Whether `signature` is by `public_key` over the ASCII of `root_hash`; False for any malformed part."""
    return root_hash.isascii() and ed25519_valid(public_key, root_hash.encode("ascii"), signature)


def ed25519_valid(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is by `public_key` over `message`; False for any malformed part.

    Stricter than OpenSSL, so that every verifier can be of one mind: a key must be in its one spelling, and
    must not be a point of small order, for which a signature fits any message.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(signature) != SIGNATURE_BYTES or not is_public_key(public_key):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_public_key(raw: bytes) -> bool:
    """Whether 32 bytes spell what can be the key of somebody; whether it is on the curve is not looked at."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    return len(raw) == PUBLIC_KEY_BYTES and y < _FIELD and y not in _SMALL_ORDER


_FIELD = 2**255 - 19
# The y of the eight points whose order divides 8 (RFC 8032, section 5.1.7, and
# https://cr.yp.to/ecdh.html#validate for why they matter).
_ORDER_EIGHT = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset({0, 1, _FIELD - 1, _ORDER_EIGHT, _FIELD - _ORDER_EIGHT})
