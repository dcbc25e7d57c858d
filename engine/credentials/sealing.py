"""AES-256-GCM boxes: nonce(12) ‖ ciphertext ‖ tag(16), as Go's cipher.AEAD writes them.

The label is authenticated with the data but not stored, so a box opens only in the place it was made
for; Go's boxes have no label.
"""

from __future__ import annotations

import secrets

KEY_SIZE = 32
_NONCE_SIZE = 12
_TAG_SIZE = 16


def seal(key: bytes, data: bytes, label: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_SIZE)
    return nonce + AESGCM(key).encrypt(nonce, data, label)


def unseal(key: bytes, box: bytes, label: bytes) -> bytes | None:
    """The data, or None when the box was changed, cut, made with another key or for another label."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(box) < _NONCE_SIZE + _TAG_SIZE:
        return None
    try:
        return AESGCM(key).decrypt(box[:_NONCE_SIZE], box[_NONCE_SIZE:], label)
    except InvalidTag:
        return None
